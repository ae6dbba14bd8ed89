import NIOCore
import NIOEmbedded
import Testing

@testable import GatewayCore

/// What a caller may, from the request on.
@Suite struct CallersTests {
    private static let signing = String(repeating: "s", count: 32)

    /// Two skills of two callers: `orders` may send for weather to two regions, `news` for both skills.
    private func bed(_ change: (inout [CallerDirectory.Entry]) -> Void = { _ in }) throws -> FlowBed {
        try FlowBed { configuration in
            let weather = configuration.skills[0]
            configuration.skills.append(
                Skill(index: 1, name: "news", defaultRegion: .europe, tokens: weather.tokens))
            configuration.callers = Self.directory(change)
        }
    }

    private static func directory(_ change: (inout [CallerDirectory.Entry]) -> Void = { _ in }) -> CallerDirectory {
        var entries = [
            CallerDirectory.Entry(
                Caller(index: 0, name: "orders", skills: [0], regions: [.europe, .farEast]),
                keys: [APIKeyDigest(of: "key"), APIKeyDigest(of: "second key")],
                client: .init(clientID: "orders-client", secrets: [APIKeyDigest(of: "orders-secret")]),
                certificateNames: ["uri:spiffe://example.org/orders"]),
            CallerDirectory.Entry(
                Caller(index: 1, name: "news", skills: [0, 1]), keys: [APIKeyDigest(of: "news-key")],
                certificateNames: ["dns:news.example.org"]),
        ]
        change(&entries)
        return CallerDirectory(entries, tokens: CallerTokens(signingSecrets: [signing], lifetimeSeconds: 3600))
    }

    private func buy(_ bed: FlowBed, client: String = "orders-client", secret: String = "orders-secret") -> Response? {
        bed.request(
            "POST", "/auth/O2/token", "",
            "grant_type=client_credentials&client_id=\(client)&client_secret=\(secret)&scope=alexa:skill_messaging"
        ).answers.first
    }

    private func token(_ bed: FlowBed) throws -> String {
        guard case .accessToken(let token) = buy(bed)?.content else { throw Refusal(.notFound, "no token") }
        return token.text
    }

    private func send(
        _ bed: FlowBed, _ authorization: String?, _ fields: String = "", peer: Peer = Peer()
    ) -> Recipient {
        let authorization = authorization.map { "Authorization: \($0)\r\n" } ?? ""
        return bed.request(
            "POST", "/v1/skillmessages/users/u", authorization + fields, #"{"data":{}}"#, peer: peer)
    }

    @Test func `each way to show who one is leads to the same caller`() throws {
        let bed = try bed()
        let bearer = try token(bed)
        let certificate = Peer(certificateNames: ["dns:x", "uri:spiffe://example.org/orders"])
        for message in [
            send(bed, "Bearer key"), send(bed, "bearer   second key"), send(bed, "Bearer \(bearer)"),
            send(bed, nil, peer: certificate),
        ].enumerated() where message.offset != 1 {
            #expect(message.element.answers.isEmpty, "\(message.offset) was sent")
        }
        #expect(bed.pool.requests.count == 3)
        // A key holds no space; and a field that is there counts, whatever the certificate says.
        #expect(send(bed, "Bearer wrong", peer: certificate).problem == .notAuthenticated)
        #expect(bed.pool.requests.count == 3)
    }

    /// A caller that keeps none of its rules.
    private func bed(reporting rules: [CallerRule]) throws -> FlowBed {
        try bed { entries in
            entries[0] = CallerDirectory.Entry(
                Caller(
                    index: 0, name: "orders", skills: [0], regions: [.europe], requiresIdempotencyKey: true,
                    limits: CallerLimits(rate: RateLimit(perSecond: 1, burst: 1), maximumInFlight: 1),
                    reportedRules: CallerRules(rules)),
                keys: [APIKeyDigest(of: "key")])
        }
    }

    private static let keyed = "Idempotency-Key: \"k\"\r\n"
    private static let toEurope = "Gateway-Region: EU\r\n"

    @Test(arguments: [
        (CallerRule.rate, [keyed + toEurope, keyed + toEurope], Problem.callerRate),
        (.idempotencyKey, [toEurope], .idempotencyKeyRequired),
        (.regions, [keyed + "Gateway-Region: NA\r\n"], .notAllowed),
        (.skills, [keyed + toEurope + "Gateway-Skill: news\r\n"], .notAllowed),
    ])
    func `a rule that is only reported lets through what breaks it, and counts it`(
        rule: CallerRule, requests: [String], problem: Problem
    ) throws {
        let strict = try bed(reporting: CallerRule.allCases.filter { $0 != rule })
        for fields in requests.dropLast() { _ = send(strict, "Bearer key", fields) }
        #expect(send(strict, "Bearer key", requests[requests.count - 1]).problem == problem)

        let lenient = try bed(reporting: [rule])
        if rule == .rate {
            // Nothing may be in flight, which is another rule.
            #expect(lenient.inquire("k").problem == nil)
            #expect(lenient.inquire("k").problem == nil)
        } else {
            for fields in requests { #expect(send(lenient, "Bearer key", fields).answers.isEmpty, "sent") }
            #expect(lenient.pool.requests.count == 1)
        }
        let counted = lenient.forwarder.counted().reported
        #expect(counted == [ForwardingInstruments.ReportedSeries(caller: 0, rule: rule): 1])
        #expect(lenient.forwarder.counted().rejected.isEmpty)
    }

    @Test func `more messages in flight than a caller may have, where that is only reported`() throws {
        let strict = try bed(reporting: [.rate])
        #expect(send(strict, "Bearer key", Self.toEurope + "Idempotency-Key: \"1\"\r\n").answers.isEmpty)
        let refused = send(strict, "Bearer key", Self.toEurope + "Idempotency-Key: \"2\"\r\n")
        #expect(refused.problem == .callerInFlight)

        let lenient = try bed(reporting: [.rate, .maximumInFlight])
        let recipients = (1...3).map {
            send(lenient, "Bearer key", Self.toEurope + "Idempotency-Key: \"\($0)\"\r\n")
        }
        #expect(lenient.pool.requests.count == 3)
        let counted = lenient.forwarder.counted().reported
        #expect(counted[ForwardingInstruments.ReportedSeries(caller: 0, rule: .maximumInFlight)] == 2)
        for _ in recipients { lenient.pool.answer(202) }
        #expect(recipients.allSatisfy { $0.answers.first?.status == 202 })
        // What took no place gives none back: one has it, and the next would be refused.
        for number in 4...5 {
            #expect(
                send(lenient, "Bearer key", Self.toEurope + "Idempotency-Key: \"\(number)\"\r\n").answers.isEmpty)
        }
        let after = lenient.forwarder.counted().reported
        #expect(after[ForwardingInstruments.ReportedSeries(caller: 0, rule: .maximumInFlight)] == 3)
    }

    @Test func `where regions are only reported, users are looked for in all of them`() throws {
        for reported in [[], [CallerRule.regions]] {
            let bed = try bed { entries in
                entries[0] = CallerDirectory.Entry(
                    Caller(
                        index: 0, name: "orders", skills: [0], regions: [.europe], discovery: .probe,
                        reportedRules: CallerRules(reported)),
                    keys: [APIKeyDigest(of: "key")])
            }
            let recipient = send(bed, "Bearer key")
            bed.pool.answer(404)
            bed.loop.run()
            guard !reported.isEmpty else {
                #expect(recipient.answers.first?.status == 404)
                continue
            }
            bed.pool.answer(202)
            bed.loop.run()
            #expect(recipient.answers.first?.status == 202)
            #expect(recipient.answers.first?.region != .europe)
            let counted = bed.forwarder.counted().reported
            #expect(counted == [ForwardingInstruments.ReportedSeries(caller: 0, rule: .regions): 1])
        }
    }

    @Test func `a skill that does not exist is refused, whatever is only reported`() throws {
        let bed = try bed(reporting: CallerRule.allCases)
        #expect(send(bed, "Bearer key", Self.keyed + "Gateway-Skill: nothing\r\n").problem == .notAllowed)
    }

    @Test func `whoever fails learns nothing from how`() throws {
        let bed = try bed()
        let good = try token(bed)
        let expired = try token(bed)
        bed.wallClock.add(3600)
        let forged = CallerTokens(signingSecrets: [String(repeating: "x", count: 32)], lifetimeSeconds: 7200)
            .issue(
                to: CallerTokens.Client(clientID: "orders-client", secret: APIKeyDigest(of: "orders-secret")),
                now: bed.wallClock.value)
        let stranger = CallerTokens(signingSecrets: [Self.signing], lifetimeSeconds: 7200)
            .issue(
                to: CallerTokens.Client(clientID: "nobody", secret: APIKeyDigest(of: "orders-secret")),
                now: bed.wallClock.value)
        let attempts = [
            nil, "", "Bearer", "Bearer ", "Basic a2V5", "Bearer wrong", "Bearer \(expired)", "Bearer \(good)x",
            "Bearer \(try #require(forged))", "Bearer \(try #require(stranger))", "Bearer sgt_",
        ]
        let answers = attempts.map { send(bed, $0).answers.first }
        for answer in answers {
            #expect(answer?.status == 401)
            #expect(answer == answers[0])
        }
        #expect(bed.pool.requests.isEmpty)
    }

    @Test(
        arguments: [
            ("Bearer key", "", nil), ("Bearer key", "Gateway-Skill: weather\r\n", nil),
            ("Bearer key", "Gateway-Skill: news\r\n", .notAllowed),
            ("Bearer key", "Gateway-Region: NA\r\n", .notAllowed),
            ("Bearer key", "Gateway-Region: FE\r\n", nil), ("Bearer news-key", "", .skillRequired),
            ("Bearer news-key", "Gateway-Skill: news\r\nGateway-Region: NA\r\n", nil),
            ("Bearer news-key", "Gateway-Skill: sports\r\n", .notAllowed),
        ] as [(String, String, Problem?)])
    func `a caller may send for its skills and to its regions`(key: String, fields: String, problem: Problem?) throws {
        let bed = try bed()
        let message = send(bed, key, fields)
        #expect(message.problem == problem)
        #expect(bed.pool.requests.count == (problem == nil ? 1 : 0))
        #expect(bed.endpoint.grants == 1, "whatever is refused is refused before the token is asked for")
    }

    @Test func `the key that came last is known again, and another one is not taken for it`() throws {
        let bed = try bed()
        let peer = Peer()
        #expect(send(bed, "Bearer key", peer: peer).answers.isEmpty)
        #expect(send(bed, "Bearer key", peer: peer).answers.isEmpty)
        #expect(send(bed, "Bearer kez", peer: peer).problem == .notAuthenticated)
        #expect(send(bed, nil, peer: peer).problem == .notAuthenticated)
        #expect(send(bed, "Bearer news-key", peer: peer).problem == .skillRequired)
        #expect(send(bed, "Bearer key", peer: peer).answers.isEmpty)
        // Its key is gone with the next configuration.
        bed.use { $0.callers = Self.directory { $0[0].keys = [] } }
        #expect(send(bed, "Bearer key", peer: peer).problem == .notAuthenticated)
    }

    @Test func `a rate is one for all ways in, and the rest is refused before anything is asked for`() throws {
        let bed = try bed { entries in
            let caller = entries[0].caller
            entries[0].caller = Caller(
                index: 0, name: "orders", skills: caller.skills,
                limits: CallerLimits(rate: RateLimit(perSecond: 10, burst: 3)))
        }
        let bearer = try token(bed)
        #expect(send(bed, "Bearer key").answers.isEmpty)
        #expect(send(bed, "Bearer \(bearer)").answers.isEmpty)
        let refused = send(bed, "Bearer key")
        #expect(refused.problem == .callerRate)
        #expect(refused.answers.first?.status == 429)
        #expect(bed.forwarder.instruments.rejected[.callerRate] == 1)
        #expect(send(bed, "Bearer news-key", "Gateway-Skill: news\r\n").answers.isEmpty, "others do not wait for it")
        bed.loop.advanceTime(by: .milliseconds(100))
        #expect(send(bed, "Bearer key").answers.isEmpty)
        #expect(bed.pool.requests.count == 4)
    }

    @Test func `messages in flight are limited, and each that ends makes room`() throws {
        let bed = try bed { entries in
            entries[0].caller = Caller(
                index: 0, name: "orders", skills: [0], limits: CallerLimits(maximumInFlight: 2))
        }
        #expect(send(bed, "Bearer key").answers.isEmpty)
        #expect(send(bed, "Bearer key").answers.isEmpty)
        #expect(send(bed, "Bearer key").problem == .callerInFlight)
        bed.pool.answer(202)
        #expect(send(bed, "Bearer key").answers.isEmpty)
        #expect(send(bed, "Bearer key").problem == .callerInFlight)
        // One that is refused gives its place back, too.
        bed.pool.answer(404)
        #expect(send(bed, "Bearer key", "Gateway-Region: XX\r\n").problem == .fieldInvalid)
        #expect(send(bed, "Bearer key").answers.isEmpty)
    }

    @Test func `too many failures from one place are told so, and good credentials from there pass`() throws {
        let bed = try bed()
        let peer = Peer(address: try SocketAddress(ipAddress: "192.0.2.1", port: 9))
        let problems = (0..<35).map { _ in send(bed, "Bearer wrong", peer: peer).problem }
        #expect(problems.count { $0 == .notAuthenticated } == 30)
        #expect(problems.last == .tooManyFailedAttempts)
        #expect(send(bed, "Bearer key", peer: peer).answers.isEmpty)
        let elsewhere = Peer(address: try SocketAddress(ipAddress: "192.0.2.2", port: 9))
        #expect(send(bed, "Bearer wrong", peer: elsewhere).problem == .notAuthenticated)
    }

    // MARK: Access tokens

    @Test func `a token is bought with the secret alone, and refusals are those of RFC 6749`() throws {
        let bed = try bed()
        for (answer, problem) in [
            (buy(bed, secret: "wrong"), Problem.clientNotAuthenticated),
            (buy(bed, client: "nobody"), .clientNotAuthenticated), (buy(bed, client: "news"), .clientNotAuthenticated),
        ] {
            guard case .refusal(let refusal) = answer?.content else { return #expect(Bool(false), "no refusal") }
            #expect(refusal.problem == problem && refusal.form == .oauth && answer?.status == 401)
        }
        #expect(try token(bed).hasPrefix("sgt_"))
        #expect(bed.request("GET", "/auth/o2/token", "", "").problem == .methodNotAllowed)
        #expect(bed.request("POST", "/auth/O2/tokens", "", "").problem == .notFound)
        #expect(bed.pool.requests.isEmpty)
    }

    @Test func `where no token is issued, there is no such path`() throws {
        let bed = try FlowBed()
        #expect(bed.request("POST", "/auth/o2/token", "", "grant_type=client_credentials").problem == .notFound)
    }

    @Test func `a token lives as long as the secret it was bought with`() throws {
        let bed = try bed()
        let bearer = "Bearer \(try token(bed))"
        let other = APIKeyDigest(of: "another secret")
        for secrets in [
            [other, APIKeyDigest(of: "orders-secret")], [APIKeyDigest(of: "orders-secret"), other], [other],
        ] {
            bed.use { configuration in
                configuration.callers = Self.directory {
                    $0[0].client = .init(clientID: "orders-client", secrets: secrets)
                }
            }
            if secrets.count == 2 { #expect(send(bed, bearer).answers.isEmpty) }
        }
        #expect(send(bed, bearer).problem == .notAuthenticated)
        guard case .refusal = buy(bed)?.content else { return #expect(Bool(false), "the old secret buys nothing") }
        bed.use { configuration in configuration.callers = Self.directory { $0[0].client = nil } }
        #expect(send(bed, bearer).problem == .notAuthenticated)
    }

    // MARK: Another configuration

    @Test func `a message in flight ends by the configuration it began with`() throws {
        let bed = try bed()
        bed.pool.leasesLater = true
        let before = send(bed, "Bearer key", "Idempotency-Key: k\r\n")
        bed.use { configuration in
            configuration.skills = []
            configuration.callers = CallerDirectory([])
        }
        bed.pool.giveLease()
        bed.pool.answer(202)
        #expect(before.status == 202)
        #expect(send(bed, "Bearer key").problem == .notAuthenticated)
    }
}
