import NIOCore
import NIOEmbedded
import Testing

@testable import GatewayCore

/// Keys for callers that cannot set fields.
struct MessageKeyTests {
    private static let window = Duration.seconds(300)

    private func bed(_ sources: IdempotencyKeySource..., required: Bool = false) throws -> FlowBed {
        try FlowBed { configuration in
            let weather = configuration.skills[0]
            configuration.skills.append(Skill(index: 1, name: "news", defaultRegion: .europe, tokens: weather.tokens))
            configuration.callers = CallerDirectory(
                ["key", "other"].enumerated().map { index, key in
                    CallerDirectory.Entry(
                        Caller(
                            index: index, name: key, skills: [0, 1], requiresIdempotencyKey: required,
                            keySources: IdempotencyKeySources(sources, contentWindow: Self.window)),
                        keys: [APIKeyDigest(of: key)])
                })
        }
    }

    private func send(
        _ bed: FlowBed, _ content: String, key: String? = nil, user: String = "u", skill: String = "weather",
        caller: String = "key"
    ) -> Recipient {
        let field = key.map { "Idempotency-Key: \($0)\r\n" } ?? ""
        return bed.request(
            "POST", "/v1/skillmessages/users/\(user)",
            "Authorization: Bearer \(caller)\r\nGateway-Skill: \(skill)\r\n" + field, content)
    }

    private func accept(_ bed: FlowBed) { bed.pool.answer(202) }

    @Test func `a key in a member of data is a key like any other`() throws {
        let bed = try bed(.field, .data(member: "order"))
        _ = send(bed, #"{"data":{"order":"o-1","x":"a"}}"#)
        accept(bed)
        let again = send(bed, #"{ "data" : {"x":"\u0061", "order":"o\u002d1"} }"#)
        #expect(again.status == 202 && again.isReplay == true)
        #expect(send(bed, #"{"data":{"order":"o-1","x":"b"}}"#).problem == .idempotencyKeyReused)
        // By the field, too; and the field comes first.
        #expect(send(bed, #"{"data":{"order":"o-1","x":"a"}}"#, key: "o-1").isReplay == true)
        #expect(send(bed, #"{"data":{"order":"o-1","x":"a"}}"#, key: "another").answers.isEmpty)
        accept(bed)
        guard
            case .report(let status) = bed.request(
                "GET", "/v1/idempotency-keys/o-1", "Authorization: Bearer key\r\nGateway-Skill: weather\r\n", nil
            ).answers.first?.content, case .accepted = status.state
        else {
            Issue.record("it is not found by its key")
            return
        }
        #expect(bed.pool.requests.count == 2)
        // Without the member there is no key, and nothing is a duplicate.
        for content in [#"{"data":{}}"#, #"{"data":{"Order":"x"}}"#, #"{"data":{"a":{"order":"x"}}}"#] {
            #expect(send(bed, content).answers.isEmpty)
            accept(bed)
            #expect(send(bed, content).answers.isEmpty)
            accept(bed)
        }
        #expect(bed.forwarder.instruments.messages(keyedFrom: .data) == 3)
        #expect(bed.forwarder.instruments.messages(keyedFrom: .field) == 2)
        #expect(bed.forwarder.instruments.messages(keyedFrom: nil) == 6)
    }

    @Test(arguments: [
        (#"{"data":{"order":1}}"#, Problem.idempotencyKeyInvalid),
        (#"{"data":{"order":null}}"#, .idempotencyKeyInvalid),
        (#"{"data":{"order":""}}"#, .idempotencyKeyInvalid), (#"{"data":{"order":"ä"}}"#, .idempotencyKeyInvalid),
        (#"{"data":{"order":"a\nb"}}"#, .idempotencyKeyInvalid),
        ("{\"data\":{\"order\":\"\(String(repeating: "x", count: 256))\"}}", .idempotencyKeyInvalid),
        (#"{"data":{"order":"a","order":"b"}}"#, .messageInvalid),
        (#"{"data":{"order":"a","\u006frder":"a"}}"#, .messageInvalid), (#"{"data":{}}"#, .idempotencyKeyRequired),
    ])
    func `what is meant as a key and is none is refused`(content: String, problem: Problem) throws {
        let bed = try bed(.data(member: "order"), required: true)
        #expect(send(bed, content).problem == problem)
        #expect(bed.pool.requests.isEmpty)
    }

    @Test func `a field that does not count is refused, since its sender expects that it does`() throws {
        let bed = try bed(.content)
        #expect(send(bed, #"{"data":{}}"#, key: "k").problem == .fieldInvalid)
    }

    @Test func `an equal message is a duplicate for a while, of the same caller, skill and user alone`() throws {
        let bed = try bed(.field, .content)
        let content = #"{"data":{"a":"b","c":"d"},"expiresAfterSeconds":60}"#
        _ = send(bed, content)
        accept(bed)
        let again = send(bed, #"{"expiresAfterSeconds":60, "data":{"c":"d","a":"\u0062"}}"#)
        #expect(again.status == 202 && again.isReplay == true)
        var sent = 1
        for other in [
            send(bed, #"{"data":{"a":"b","c":"e"},"expiresAfterSeconds":60}"#),
            send(bed, #"{"data":{"a":"b","c":"d"},"expiresAfterSeconds":61}"#), send(bed, content, user: "v"),
            send(bed, content, skill: "news"), send(bed, content, caller: "other"), send(bed, content, key: "k"),
        ] {
            #expect(other.answers.isEmpty)
            accept(bed)
            sent += 1
        }
        #expect(bed.pool.requests.count == sent)
        bed.loop.advanceTime(by: .seconds(299))
        #expect(send(bed, content).isReplay == true)
        bed.loop.advanceTime(by: .seconds(1))
        #expect(send(bed, content).answers.isEmpty, "the window is over")
        accept(bed)
        // A key of one's own is remembered for longer.
        #expect(send(bed, content, key: "k").isReplay == true)
    }

    @Test func `a message whose outcome is unknown is not sent again inside the window`() throws {
        let bed = try bed(.content)
        _ = send(bed, #"{"data":{}}"#)
        bed.pool.fail(.connectionLost)
        #expect(send(bed, #"{"data":{}}"#).status == 504)
        #expect(bed.pool.requests.count == 1)
    }

    @Test func `the key that is the content comes back, and can be asked for`() throws {
        let bed = try bed(.field, .content)
        #expect(send(bed, #"{"data":{}}"#, key: "k").answers.isEmpty)
        accept(bed)
        let first = send(bed, #"{"data":{}}"#)
        bed.pool.fail(.timeout)
        let key = try #require(first.answers.first?.toldKey)
        let text = String(buffer: key.characters)
        #expect(first.status == 504 && text.wholeMatch(of: /content-[A-Za-z0-9_-]{43}/) != nil, "\(text)")
        func state() -> KeyReport.State? {
            let fields = "Authorization: Bearer key\r\nGateway-Skill: weather\r\n"
            guard
                case .report(let status) = bed.request("GET", "/v1/idempotency-keys/\(text)", fields, nil).answers
                    .first?
                    .content
            else { return nil }
            return status.state
        }
        #expect(state() == .unknown)
        // Consent sends it once more.
        let resend = bed.request(
            "POST", "/v1/skillmessages/users/u",
            "Authorization: Bearer key\r\nGateway-Skill: weather\r\nIdempotency-Resend: ?1\r\n", #"{"data":{}}"#)
        accept(bed)
        #expect(resend.status == 202 && resend.answers.first?.toldKey == key)
        guard case .accepted = state() else {
            Issue.record("\(String(describing: state()))")
            return
        }
        #expect(bed.pool.requests.count == 3)
    }

    @Test func `what was never a valid message has no key, and is not counted as one without`() throws {
        let bed = try bed(.field)
        _ = bed.request("POST", "/v1/skillmessages/users/u", "Authorization: Bearer wrong\r\n", #"{"data":{}}"#)
        _ = send(bed, "{}", key: "k")
        for source in [nil] + IdempotencyKeySource.Label.allCases.map(Optional.some) {
            #expect(bed.forwarder.instruments.messages(keyedFrom: source) == 0)
        }
    }
}
