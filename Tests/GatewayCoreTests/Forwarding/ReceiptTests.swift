import Foundation
import NIOCore
import NIOEmbedded
import Testing

@testable import GatewayCore

/// A skill reports the messages that it has received.
@Suite struct ReceiptTests {
    private static let secret = "a-signing-key-of-at-least-32-bytes"

    private func bed(_ keySources: IdempotencyKeySources = IdempotencyKeySources()) throws -> FlowBed {
        try FlowBed { configuration in
            let weather = configuration.skills[0]
            configuration.skills = [
                Skill(
                    index: 0, name: "weather", defaultRegion: .europe, tokens: weather.tokens, receiptMember: "receipt")
            ]
            configuration.receipts = ReceiptIDs(signingSecrets: [Self.secret], skills: ["weather"])
            configuration.callers = CallerDirectory([
                CallerDirectory.Entry(
                    Caller(index: 0, name: "orders", skills: [0], keySources: keySources),
                    keys: [APIKeyDigest(of: "key")])
            ])
        }
    }

    /// The id in the message that was sent last.
    private func id(_ bed: FlowBed) throws -> String {
        let request = try #require(bed.pool.requests.last)
        return String(try #require(request.firstMatch(of: /"receipt":"([A-Za-z0-9_-]{64})"/)).1)
    }

    private func report(_ bed: FlowBed, _ content: String) -> Recipient {
        bed.request("POST", "/v1/receipts", "", content)
    }

    private func report(_ bed: FlowBed, id: String) -> Recipient { report(bed, #"{"id":"\#(id)"}"#) }

    private func results(_ recipient: Recipient) -> [ReceiptResult]? {
        guard case .receipts(let results, _) = recipient.answers.first?.content else { return nil }
        return results
    }

    private func content(_ bed: FlowBed) -> String {
        bed.pool.requests.last?.components(separatedBy: "\r\n\r\n").last ?? ""
    }

    // MARK: The id

    @Test(arguments: [
        (#"{"data":{}}"#, #"{"data":{"receipt":"ID"}}"#),
        (#"{"data":{"a":"b"}}"#, #"{"data":{"a":"b","receipt":"ID"}}"#),
        (
            #" { "expiresAfterSeconds" : 60 , "d\u0061ta" : { "a" : "}" } } "#,
            #" { "expiresAfterSeconds" : 60 , "d\u0061ta" : { "a" : "}" ,"receipt":"ID"} } "#
        ),
    ])
    func `the message carries its id in a member of its own, and the same again`(original: String, sent: String) throws
    {
        let bed = try bed()
        _ = bed.send(content: original)
        let first = try id(bed)
        #expect(content(bed).replacingOccurrences(of: first, with: "ID") == sent)
        #expect(bed.pool.requests.last?.contains("Content-Length: \(content(bed).utf8.count)\r\n") == true)
        bed.pool.answer(500)
        _ = bed.send(content: original)
        #expect(try id(bed) == first, "one key, one id")
        bed.pool.answer(202)
        #expect(bed.send(content: original).isReplay == true, "the id is no part of what the caller says")
        _ = bed.send(key: "other", content: original)
        #expect(try id(bed) != first)
    }

    @Test func `a member of that name is the gateway's, and the id has to fit`() throws {
        let bed = try bed()
        #expect(bed.send(content: #"{"data":{"receipt":"mine"}}"#).problem == .messageInvalid)
        #expect(bed.send(content: #"{"data":{"r\u0065ceipt":"mine"}}"#).problem == .messageInvalid)
        // `{"a":"…"}` and `,"receipt":"…"` make 6144 bytes.
        let longest = 6144 - 8 - 77
        #expect(bed.send(content: #"{"data":{"a":"\#(String(repeating: "x", count: longest))"}}"#).answers.isEmpty)
        let tooLong = bed.send(key: "k2", content: #"{"data":{"a":"\#(String(repeating: "x", count: longest + 1))"}}"#)
        guard case .refusal(let refusal) = tooLong.answers.first?.content else {
            Issue.record("it was sent")
            return
        }
        #expect(refusal.detail.contains("1 more than the 6067 allowed"), "\(refusal.detail)")
    }

    @Test func `a message without a key gets one, and its sender is told`() throws {
        let bed = try bed()
        let message = bed.send(key: nil)
        bed.pool.fail(.timeout)
        let key = try #require(message.answers.first?.toldKey)
        #expect(String(buffer: key.characters).hasPrefix("made-") && message.status == 504)
        #expect(results(report(bed, id: try id(bed))) == [.first])
        guard case .report(let status) = bed.inquire(String(buffer: key.characters)).answers.first?.content else {
            Issue.record("it is not known by its key")
            return
        }
        #expect(status.state == .accepted(AcceptedResponse(provenAt: 1_795_497_192_000)))
        let other = bed.send(key: nil)
        bed.pool.answer(202)
        #expect(other.answers.first?.toldKey != key)
    }

    // MARK: What is counted

    @Test func `what nobody has reported by the time that it can be delivered no longer is counted`() throws {
        let bed = try bed()
        for key in ["reported", "not-reported", "refused", "late"] {
            _ = bed.send(key: key, content: #"{"data":{},"expiresAfterSeconds":120}"#)
            bed.pool.answer(key == "refused" ? 400 : 202)
            if key == "reported" {
                bed.loop.advanceTime(by: .seconds(7))
                _ = report(bed, id: try id(bed))
            }
        }
        var counted: DeliveryInstruments.Skill { bed.forwarder.counted().deliveries.skill(0) }
        #expect(counted.pending == 3 && counted.due == 0 && counted.received == 1)
        #expect(counted.seconds.count == 1 && counted.seconds.sum == 7, "from acceptance to report")
        bed.loop.advanceTime(by: .seconds(179))
        #expect(counted.due == 0)
        bed.loop.advanceTime(by: .seconds(30))
        #expect(counted.pending == 0 && counted.due == 3 && counted.unreceived == 2)
    }

    @Test func `a message that is its own key is not taken for an equal one of a later window`() throws {
        let bed = try bed(IdempotencyKeySources([.content], contentWindow: .seconds(100)))
        _ = bed.send(key: nil, content: #"{"data":{},"expiresAfterSeconds":60}"#)
        bed.pool.answer(202)
        _ = report(bed, id: try id(bed))
        bed.loop.advanceTime(by: .seconds(101))
        bed.wallClock.add(101)
        _ = bed.send(key: nil, content: #"{"data":{},"expiresAfterSeconds":60}"#)
        bed.pool.answer(202)
        bed.loop.advanceTime(by: .seconds(30))
        bed.wallClock.add(30)
        let counted = bed.forwarder.counted().deliveries.skill(0)
        #expect(counted.pending == 1 && counted.due == 0 && counted.unreceived == 0)
    }

    @Test func `a skill that reports nothing any more is waited for no longer`() throws {
        let bed = try bed()
        _ = bed.send()
        bed.pool.answer(202)
        #expect(bed.forwarder.counted().deliveries.skill(0).pending == 1)
        bed.use { configuration in
            let tokens = configuration.skills[0].tokens
            configuration.skills = [Skill(index: 0, name: "weather", defaultRegion: .europe, tokens: tokens)]
        }
        #expect(bed.forwarder.counted().deliveries.skill(0).pending == 0)
    }

    // MARK: Reports

    @Test func `the first report is told from all later ones`() throws {
        let bed = try bed()
        _ = bed.send()
        bed.pool.answer(202)
        let id = try id(bed)
        #expect(results(report(bed, id: id)) == [.first])
        bed.wallClock.add(60)
        for _ in 0..<3 { #expect(results(report(bed, id: id)) == [.again(at: 1_795_497_192_000)]) }
        #expect(bed.send().status == 202)
        // After the retention nothing is known of it: better handled than dropped.
        bed.loop.advanceTime(by: .hours(25))
        #expect(results(report(bed, id: id)) == [.first])
    }

    @Test func `a report settles what is unknown, for whoever asks again`() throws {
        let bed = try bed()
        _ = bed.send()
        bed.pool.fail(.connectionLost)
        #expect(bed.send().problem == .outcomeUnknownEarlier)
        _ = report(bed, id: try id(bed))
        let retry = bed.send(fields: "Idempotency-Resend: ?1\r\n")
        #expect(retry.status == 202 && retry.isReplay == true && retry.answers.first?.witness == .receipt)
        #expect(bed.pool.requests.count == 1)
    }

    @Test func `a duplicate that waits is answered by the report, and the first by Amazon`() throws {
        let bed = try bed()
        let first = bed.send()
        let duplicate = bed.send()
        #expect(duplicate.answers.isEmpty)
        _ = report(bed, id: try id(bed))
        #expect(duplicate.status == 202 && duplicate.answers.first?.witness == .receipt)
        bed.pool.wait(.milliseconds(499))
        bed.pool.answer(404)
        #expect(first.status == 404, "what Amazon says is passed on")
        #expect(bed.send().status == 202 && bed.pool.requests.count == 1, "and the record stays as it is proven")
    }

    @Test(arguments: [false, true])
    func `a sender whose answer does not come is told of the receipt`(isReportedFirst: Bool) throws {
        let bed = try bed()
        let message = bed.send()
        if isReportedFirst { _ = report(bed, id: try id(bed)) }
        bed.pool.wait(.milliseconds(500))
        #expect(message.status == (isReportedFirst ? 202 : nil))
        if !isReportedFirst { _ = report(bed, id: try id(bed)) }
        #expect(message.status == 202 && message.isReplay == false && message.answers.first?.witness == .receipt)
        #expect(message.answers.first?.source == .gateway && bed.pool.receivers.isEmpty)
        // What Amazon says of it in the end is in its record.
        bed.pool.end(late: UpstreamResponse(status: 202, requestID: .text("r")))
        let replay = try #require(bed.send().answers.first)
        #expect(replay.isReplay && replay.witness == nil && replay.region == .europe)
        #expect(message.answers.count == 1 && bed.pool.requests.count == 1)
    }

    @Test func `what Amazon refuses late takes nothing back that was received`() throws {
        let bed = try bed()
        let message = bed.send()
        bed.pool.wait(.milliseconds(500))
        _ = report(bed, id: try id(bed))
        bed.pool.end(late: UpstreamResponse(status: 500))
        #expect(message.status == 202 && bed.send().answers.first?.witness == .receipt)
        #expect(bed.pool.requests.count == 1)
    }

    @Test func `an attempt whose answer is lost finds the receipt in its record`() throws {
        let bed = try bed()
        let message = bed.send()
        _ = report(bed, id: try id(bed))
        bed.pool.fail(.connectionLost)
        #expect(message.status == 202 && message.isReplay == false && message.answers.first?.witness == .receipt)
        #expect(bed.send().answers.first?.witness == .receipt && bed.pool.requests.count == 1)
    }

    @Test func `one that waited for a receipt in vain is told what Amazon says`() throws {
        let bed = try bed()
        let message = bed.send()
        bed.pool.wait(.seconds(2))
        bed.pool.answer(202)
        #expect(message.status == 202 && message.answers.first?.witness == nil)
        let other = bed.send(key: "other")
        bed.pool.wait(.seconds(2))
        bed.pool.fail(.timeout)
        #expect(other.problem == .outcomeUnknownTimeout)
    }

    @Test func `a message that is its own key is not proven by an equal one of an earlier window`() throws {
        let bed = try bed(IdempotencyKeySources([.content], contentWindow: .seconds(300)))
        _ = bed.send(key: nil)
        bed.pool.answer(202)
        let early = try id(bed)
        bed.loop.advanceTime(by: .seconds(301))
        bed.wallClock.add(301)
        _ = bed.send(key: nil)
        bed.pool.fail(.timeout)
        #expect(results(report(bed, id: early)) == [.first])
        #expect(bed.send(key: nil).problem == .outcomeUnknownEarlier, "this one has not been received")
        #expect(results(report(bed, id: try id(bed))) == [.first])
        #expect(bed.send(key: nil).answers.first?.witness == .receipt)
    }

    @Test func `up to a hundred are reported at once, each with its own answer`() throws {
        let bed = try bed()
        var ids: [String] = []
        for number in 0..<2 {
            _ = bed.send(key: "k\(number)")
            ids.append(try id(bed))
            bed.pool.answer(202)
        }
        let all = report(bed, #"{"ids":["\#(ids[0])", "nonsense" ,"\#(ids[1])","\#(ids[0])"]}"#)
        #expect(results(all) == [.first, .unknown, .first, .again(at: 1_795_497_192_000)])
        guard case .receipts(let results, let isList) = all.answers.first?.content else { return }
        #expect(
            String(buffer: results.json(isList: isList))
                == #"{"receipts":[{"first":true},{"status":404},{"first":true},{"first":false,"firstAt":"2026-11-24T05:13:12.000Z"}]}"#
        )
        let hundred = Array(repeating: "\"x\"", count: 101).joined(separator: ",")
        for content in [
            "", "{}", "[]", #"{"id":1}"#, #"{"ids":[]}"#, #"{"ids":[1]}"#, #"{"ids":"x"}"#, #"{"id":"a","id":"b"}"#,
            #"{"ids":[\#(hundred)]}"#, #"{"id":"a","ids":["b"]}"#,
        ] { #expect(report(bed, content).problem == .messageInvalid, "\(content.prefix(40))") }
        let large = #"{"id":"\#(String(repeating: "x", count: 8 * 1024))"}"#
        #expect(report(bed, large).problem == .contentTooLarge)
    }

    @Test func `a key that is used again for another message is not settled by a report of the first`() throws {
        let bed = try bed()
        _ = bed.send(content: #"{"data":{"n":"1"}}"#)
        let first = try id(bed)
        // Amazon says that it has not accepted it, and delivers it all the same.
        bed.pool.answer(500)
        _ = bed.send(content: #"{"data":{"n":"2"}}"#)
        #expect(try id(bed) != first)
        bed.pool.fail(.timeout)
        #expect(results(report(bed, id: first)) == [.first])
        #expect(bed.send(content: #"{"data":{"n":"2"}}"#).problem == .outcomeUnknownEarlier)
    }

    @Test func `wrong ids in a list cost the right ones nothing`() throws {
        let bed = try bed()
        for _ in 0..<40 { _ = report(bed, #"{"ids":["nonsense"]}"#) }
        _ = bed.send()
        bed.pool.answer(202)
        #expect(results(report(bed, #"{"ids":["nonsense","\#(try id(bed))"]}"#)) == [.unknown, .first])
    }

    @Test func `so many ids a second are enough from one network, and made-up ones use up none of them`() throws {
        let bed = try bed()
        _ = bed.send()
        bed.pool.answer(202)
        let id = try id(bed)
        let madeUp = #"{"ids":[\#(Array(repeating: "\"x\"", count: 100).joined(separator: ","))]}"#
        for _ in 0..<40 { _ = report(bed, madeUp) }
        #expect(bed.forwarder.instruments.rejected[.receiptUnknown] == 30)
        #expect(bed.forwarder.instruments.rejected[.tooManyFailedAttempts] == 3970)
        let hundred = #"{"ids":[\#(Array(repeating: "\"\(id)\"", count: 100).joined(separator: ","))]}"#
        var taken = 0
        while results(report(bed, hundred)) != nil && taken < 100 { taken += 1 }
        #expect(taken == 20)
        #expect(report(bed, hundred).problem == .receiptRate)
        bed.loop.advanceTime(by: .seconds(1))
        #expect(results(report(bed, hundred)) != nil)
    }

    @Test func `who guesses is stopped, and nobody else`() throws {
        let bed = try bed()
        _ = bed.send()
        bed.pool.answer(202)
        let id = try id(bed)
        var problems: [Problem?] = []
        for number in 0..<40 {
            let forged = id.dropLast(2) + String(format: "%02d", number)
            problems.append(report(bed, id: String(forged)).problem)
        }
        #expect(problems[0] == .receiptUnknown && problems[39] == .tooManyFailedAttempts)
        #expect(results(report(bed, id: id)) == [.first])
        #expect(bed.request("GET", "/v1/receipts", "", nil).problem == .methodNotAllowed)
        #expect(try FlowBed().request("POST", "/v1/receipts", "", #"{"id":"\#(id)"}"#).problem == .notFound)
    }
}
