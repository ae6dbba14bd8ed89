import NIOCore
import NIOEmbedded
import Testing

@testable import GatewayCore

/// Events of messages.
@Suite struct EventTests {
    private func bed(_ kinds: Set<GatewayEvent.Kind> = Set(GatewayEvent.Kind.allCases)) throws -> FlowBed {
        try FlowBed { configuration in
            configuration.events = kinds
            configuration.unknownOutcomeAge = .seconds(60)
        }
    }

    private func unknowns(_ bed: FlowBed) -> [MessageReference] {
        bed.events.compactMap { event in
            if case .outcomeUnknown(let message, _) = event.occurrence { message } else { nil }
        }
    }

    // MARK: Unknown outcomes

    @Test func `an outcome that nobody has found out is told when it has aged, and not before`() throws {
        let bed = try bed()
        let message = bed.send(fields: "X-Request-Id: order-17\r\n")
        bed.pool.fail(.connectionLost)
        #expect(message.problem == .outcomeUnknownConnectionLost)
        bed.loop.advanceTime(by: .seconds(59))
        #expect(bed.events.isEmpty)
        bed.wallClock.add(61)
        bed.loop.advanceTime(by: .seconds(2))
        let told = try #require(unknowns(bed).first)
        #expect(told.caller == "orders" && told.skill == "weather" && told.region == .europe)
        #expect(told.requestID == "order-17" && told.record?.count == 64)
        #expect(told.answered.seconds == 1_795_497_192 && bed.events.first?.time.seconds == 1_795_497_253)
        bed.loop.advanceTime(by: .hours(1))
        #expect(bed.events.count == 1)
    }

    @Test func `what has become known meanwhile is not told`() throws {
        let bed = try bed()
        _ = bed.send(key: "settled")
        bed.pool.fail(.connectionLost)
        let settlement = bed.request(
            "PUT", "/v1/idempotency-keys/settled", "Authorization: Bearer key\r\n", #"{"state":"accepted"}"#)
        #expect(settlement.status == 200)
        _ = bed.send(key: "resent")
        bed.pool.fail(.connectionLost)
        let resend = bed.send(key: "resent", fields: "Idempotency-Resend: ?1\r\n")
        bed.pool.answer(202)
        #expect(resend.status == 202)
        bed.loop.advanceTime(by: .hours(1))
        #expect(bed.events.isEmpty)
    }

    @Test(arguments: ["k", nil]) func `an answer that came late ends the doubt`(key: String?) throws {
        let bed = try bed()
        _ = bed.send(key: key, fields: "Gateway-Timeout: 1\r\n")
        bed.pool.giveUp()
        bed.pool.end(late: UpstreamResponse(status: 202, requestID: nil))
        bed.loop.advanceTime(by: .hours(1))
        #expect(bed.events.isEmpty)
    }

    @Test func `a message without a key is told of, and has no record`() throws {
        let bed = try bed()
        _ = bed.send(key: nil)
        bed.pool.fail(.connectionLost)
        bed.loop.advanceTime(by: .seconds(62))
        #expect(unknowns(bed).map(\.record) == [nil])
    }

    @Test func `a message that was not sent, or that Amazon refused, is not reported`() throws {
        let bed = try bed()
        bed.pool.unavailable = [.connectTimeout]
        #expect(bed.send().status == 502)
        _ = bed.send(key: "refused")
        bed.pool.answer(429)
        _ = bed.send(key: "failed")
        bed.pool.answer(500)
        bed.loop.advanceTime(by: .hours(1))
        #expect(bed.events.isEmpty)
    }

    @Test func `a store that is away is asked again, and what it says then counts`() throws {
        let bed = try bed()
        for key in ["settled", "unknown"] {
            _ = bed.send(key: key)
            bed.pool.fail(.connectionLost)
        }
        bed.store.isAway = true
        bed.loop.advanceTime(by: .minutes(3))
        #expect(bed.events.isEmpty)
        bed.store.isAway = false
        _ = bed.request(
            "PUT", "/v1/idempotency-keys/settled", "Authorization: Bearer key\r\n", #"{"state":"accepted"}"#)
        bed.loop.advanceTime(by: .seconds(30))
        #expect(unknowns(bed).count == 1)
    }

    @Test func `a store that stays away keeps no outcome for ever`() throws {
        let bed = try bed()
        _ = bed.send()
        bed.pool.fail(.connectionLost)
        bed.store.isAway = true
        bed.loop.advanceTime(by: .minutes(10))
        #expect(unknowns(bed).count == 1)
    }

    @Test func `the record is looked at while it lives`() throws {
        let bed = try bed()
        bed.use { $0.retention = .seconds(30) }
        for key in ["settled", "unknown"] {
            _ = bed.send(key: key)
            bed.pool.fail(.connectionLost)
        }
        _ = bed.request(
            "PUT", "/v1/idempotency-keys/settled", "Authorization: Bearer key\r\n", #"{"state":"accepted"}"#)
        bed.loop.advanceTime(by: .seconds(17))
        #expect(unknowns(bed).count == 1)
        bed.loop.advanceTime(by: .hours(1))
        #expect(unknowns(bed).count == 1)
    }

    @Test func `a resend with consent that is refused leaves the outcome unknown`() throws {
        let bed = try bed()
        _ = bed.send()
        bed.pool.fail(.connectionLost)
        bed.loop.advanceTime(by: .seconds(58))
        let resend = bed.send(fields: "Idempotency-Resend: ?1\r\n")
        bed.loop.advanceTime(by: .seconds(4))
        #expect(bed.events.isEmpty)
        bed.pool.answer(400)
        #expect(resend.status == 400)
        bed.loop.advanceTime(by: .seconds(30))
        #expect(unknowns(bed).count == 1)
    }

    @Test func `a receipt ends the doubt`() throws {
        let bed = try bed()
        bed.useReceipts()
        _ = bed.send()
        let id = try #require(bed.pool.requests.first?.firstMatch(of: /"receipt":"([A-Za-z0-9_-]{64})"/)).1
        bed.pool.fail(.connectionLost)
        #expect(bed.request("POST", "/v1/receipts", "", #"{"id":"\#(id)"}"#).status == 200)
        bed.loop.advanceTime(by: .minutes(10))
        #expect(unknowns(bed).isEmpty)
    }

    @Test func `the process ends, and tells of all at once`() throws {
        let bed = try bed()
        for number in 0..<500 {
            _ = bed.send(key: "k\(number)")
            bed.pool.fail(.connectionLost)
        }
        var isDone = false
        bed.forwarder.reportUnknownOutcomes().assumeIsolated().whenSuccess { isDone = true }
        bed.loop.advanceTime(by: .milliseconds(99))
        #expect(unknowns(bed).count == 400 && !isDone)
        bed.loop.advanceTime(by: .milliseconds(1))
        #expect(unknowns(bed).count == 500 && isDone)
    }

    @Test func `of too many, none is forgotten without a word`() throws {
        let bed = try bed()
        for number in 0...UnknownOutcomes.limit {
            _ = bed.send(key: "k\(number)", fields: "X-Request-Id: r\(number)\r\n")
            bed.pool.fail(.connectionLost)
        }
        #expect(unknowns(bed).map(\.requestID) == ["r0"])
    }

    @Test func `too many while the store is away are reported, each once`() throws {
        let bed = try bed()
        bed.store.isAway = true
        for number in 0..<UnknownOutcomes.limit + 500 {
            _ = bed.send(key: "k\(number)", fields: "X-Request-Id: r\(number)\r\n")
            bed.pool.fail(.connectionLost)
        }
        bed.loop.advanceTime(by: .minutes(20))
        let ids = unknowns(bed).map(\.requestID)
        #expect(ids.count == UnknownOutcomes.limit + 500 && Set(ids).count == ids.count)
    }

    @Test func `who has not asked for it is told nothing`() throws {
        let bed = try bed([.userGone])
        _ = bed.send()
        bed.pool.fail(.connectionLost)
        bed.loop.advanceTime(by: .hours(1))
        #expect(bed.events.isEmpty)
    }

    // MARK: Users

    @Test func `a user whom no region knows is told of once while gone`() throws {
        let bed = try bed()
        bed.use { $0.discovery = .probe }
        // Both are on their way before it is known.
        for key in ["a", "b"] { _ = bed.send(key: key) }
        for _ in 0..<2 * Region.allCases.count { bed.pool.answer(404) }
        #expect(bed.send(key: "c").problem == .userGone)
        #expect(
            bed.events.map(\.occurrence) == [.userGone(userID: "u:v", skill: "weather", caller: "orders")])
        bed.loop.advanceTime(by: .hours(2))
        _ = bed.send(key: "c")
        for _ in Region.allCases { bed.pool.answer(404) }
        #expect(bed.events.count == 2)
    }

    // MARK: Receipts

    @Test func `a message that its skill has not reported in time is told of; one that it has is not`() throws {
        let bed = try bed()
        bed.useReceipts()
        for key in ["received", "overdue"] {
            _ = bed.send(
                key: key, content: #"{"data":{},"expiresAfterSeconds":60}"#, fields: "X-Request-Id: \(key)\r\n")
            bed.pool.answer(202)
        }
        let id = try #require(bed.pool.requests.first?.firstMatch(of: /"receipt":"([A-Za-z0-9_-]{64})"/)).1
        #expect(bed.request("POST", "/v1/receipts", "", #"{"id":"\#(id)"}"#).status == 200)
        bed.loop.advanceTime(by: .minutes(5))
        guard case .receiptOverdue(let message, standsFor: 1) = bed.events.first?.occurrence else {
            Issue.record("\(bed.events)")
            return
        }
        #expect(bed.events.count == 1 && message.requestID == "overdue" && message.region == .europe)
    }
}

extension FlowBed {
    fileprivate func useReceipts() {
        use { configuration in
            configuration.skills = [
                Skill(index: 0, name: "weather", defaultRegion: .europe, tokens: tokens, receiptMember: "receipt")
            ]
            configuration.receipts = ReceiptIDs(
                signingSecrets: ["a-signing-key-of-at-least-32-bytes"], skills: ["weather"])
        }
    }
}
