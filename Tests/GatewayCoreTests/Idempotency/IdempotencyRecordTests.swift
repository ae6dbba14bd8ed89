import NIOCore
import Testing

@testable import GatewayCore

@Suite struct IdempotencyRecordTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private static let answer = AcceptedResponse(status: 202, region: .europe, requestID: .text("r"))

    private func claim(_ attempt: UInt64, content: UInt64 = 0, consent: Bool = false) -> IdempotencyClaim {
        IdempotencyClaim(
            scope: .init(words: (1, 2, 3, 4)), fingerprint: .init(words: (content, 0)),
            owner: .init(origin: 1, number: attempt), lease: .seconds(15), retention: .seconds(3600), consent: consent)
    }

    private func at(_ seconds: Int) -> NIODeadline { Self.start + .seconds(seconds) }

    private func apply(_ claim: IdempotencyClaim, _ record: inout IdempotencyRecord?, _ seconds: Int) -> ClaimOutcome {
        IdempotencyRecord.claim(claim, on: &record, now: at(seconds))
    }

    @Test func `the first owns the record, others see it in flight, then in doubt, and never free`() {
        var record: IdempotencyRecord?
        #expect(apply(claim(1), &record, 0) == .owned)
        #expect(apply(claim(1), &record, 1) == .owned)
        #expect(apply(claim(2), &record, 5) == .inFlight(left: .seconds(10)))
        #expect(apply(claim(2), &record, 15) == .unknown)
        #expect(apply(claim(2), &record, 3599) == .unknown)
    }

    @Test func `accepted is final and keeps its answer until the retention ends`() {
        var record: IdempotencyRecord?
        _ = apply(claim(1), &record, 0)
        IdempotencyRecord.settle(claim(1), .accepted(Self.answer), on: &record, now: at(1))
        for settlement in [
            Settlement.released, .unknown, .accepted(.init(status: 200, region: .farEast, requestID: nil)),
        ] {
            IdempotencyRecord.settle(claim(1), settlement, on: &record, now: at(2))
        }
        #expect(apply(claim(2), &record, 3600) == .accepted(Self.answer))
        #expect(apply(claim(2, consent: true), &record, 3600) == .accepted(Self.answer))
        #expect(apply(claim(2), &record, 3601) == .owned)
    }

    @Test func `released, the next attempt may send`() {
        var record: IdempotencyRecord?
        _ = apply(claim(1), &record, 0)
        IdempotencyRecord.settle(claim(1), .released, on: &record, now: at(1))
        #expect(record == nil)
        #expect(apply(claim(2), &record, 2) == .owned)
    }

    @Test func `a resend that is released leaves the doubt that was there before it`() {
        for makeDoubt: (inout IdempotencyRecord?) -> Void in [
            { IdempotencyRecord.settle(self.claim(1), .unknown, on: &$0, now: self.at(1)) }, { _ in },
        ] {
            var record: IdempotencyRecord?
            _ = apply(claim(1), &record, 0)
            makeDoubt(&record)
            #expect(apply(claim(2, consent: true), &record, 20) == .owned)
            IdempotencyRecord.settle(claim(2), .released, on: &record, now: at(21))
            #expect(apply(claim(3), &record, 22) == .unknown)
        }
    }

    @Test func `only its owner releases a record or makes it unknown`() {
        for settlement in [Settlement.released, .unknown] {
            var record: IdempotencyRecord?
            _ = apply(claim(1), &record, 0)
            let before = record
            IdempotencyRecord.settle(claim(2), settlement, on: &record, now: at(1))
            #expect(record == before)
        }
    }

    @Test func `unknown is sent again only with consent, and then by one`() {
        var record: IdempotencyRecord?
        _ = apply(claim(1), &record, 0)
        IdempotencyRecord.settle(claim(1), .unknown, on: &record, now: at(1))
        #expect(apply(claim(2), &record, 2) == .unknown)
        #expect(apply(claim(3, consent: true), &record, 2) == .owned)
        #expect(apply(claim(4, consent: true), &record, 3) == .inFlight(left: .seconds(14)))
        IdempotencyRecord.settle(claim(1), .released, on: &record, now: at(4))
        #expect(apply(claim(4), &record, 4) == .inFlight(left: .seconds(13)))
    }

    @Test func `consent does not overtake an attempt whose lease runs`() {
        var record: IdempotencyRecord?
        _ = apply(claim(1), &record, 0)
        #expect(apply(claim(2, consent: true), &record, 1) == .inFlight(left: .seconds(14)))
    }

    @Test func `a late 202 of a lost attempt is believed`() {
        var record: IdempotencyRecord?
        _ = apply(claim(1), &record, 0)
        IdempotencyRecord.settle(claim(1), .unknown, on: &record, now: at(1))
        _ = apply(claim(2, consent: true), &record, 2)
        IdempotencyRecord.settle(claim(1), .accepted(Self.answer), on: &record, now: at(3))
        IdempotencyRecord.settle(claim(2), .released, on: &record, now: at(4))
        #expect(apply(claim(3), &record, 5) == .accepted(Self.answer))
    }

    @Test func `other content under a live key is told so, whatever the state`() {
        var record: IdempotencyRecord?
        _ = apply(claim(1), &record, 0)
        #expect(apply(claim(2, content: 9, consent: true), &record, 1) == .mismatched)
        IdempotencyRecord.settle(claim(1), .accepted(Self.answer), on: &record, now: at(1))
        #expect(apply(claim(2, content: 9), &record, 2) == .mismatched)
    }
}
