import Foundation
import GatewayCore
import NIOCore
import Testing

/// What every store does, whatever it is made of. The leases are short: time is real here.
package struct StoreContract {
    /// Two gateways, or two event loops, that see the same records.
    package let one: StoreOnLoop
    package let other: StoreOnLoop

    package init(one: StoreOnLoop, other: StoreOnLoop) {
        self.one = one
        self.other = other
    }

    private static let fingerprint = RequestFingerprint(words: (11, 12))

    private func scope() -> IdempotencyScope {
        IdempotencyScope(
            words: (.random(in: 0 ... .max), .random(in: 0 ... .max), .random(in: 0 ... .max), .random(in: 0 ... .max)))
    }

    private func claim(
        _ scope: IdempotencyScope, owner: UInt64, fingerprint: RequestFingerprint = fingerprint,
        lease: TimeAmount = .seconds(20), retention: TimeAmount = .seconds(600), consent: Bool = false
    ) -> IdempotencyClaim {
        IdempotencyClaim(
            scope: scope, fingerprint: fingerprint, owner: AttemptID(origin: 1, number: owner), lease: lease,
            retention: retention, consent: consent)
    }

    package func check() async throws {
        try await oneOwner()
        try await finalAnswers()
        try await releaseAndDoubt()
        try await leaseAndConsent()
        try await replacedKey()
        try await retention()
        try await receipts()
        try await acceptanceByCaller()
        try await receiptOfAttemptInFlight()
        try await briefRecord()
        try await waiting()
        try await manyAtOnce()
        try await likeTheModel()
    }

    private func oneOwner() async throws {
        let scope = scope()
        #expect(try await one.report(scope) == KeyReport(.absent))
        #expect(try await one.claim(claim(scope, owner: 1)) == .owned)
        #expect(try await one.claim(claim(scope, owner: 1)) == .owned, "its reply may have been lost")
        for outcome in [try await other.claim(claim(scope, owner: 2)), try await one.claim(claim(scope, owner: 3))] {
            guard case .inFlight(let left) = outcome else {
                Issue.record("\(outcome)")
                continue
            }
            #expect(left > .seconds(10) && left <= .seconds(20))
        }
        // The same message, and another one, under a fingerprint key that was replaced meanwhile, and one that is not known.
        let replaced: UInt64 = 7 << 48
        var same = claim(scope, owner: 4, fingerprint: RequestFingerprint(words: (replaced | 9, 9)))
        #expect(try await other.claim(same) == .indistinct)
        same.otherFingerprints = [Self.fingerprint]
        guard case .inFlight = try await other.claim(same) else {
            Issue.record("a message is not known again under another key")
            return
        }
        same.otherFingerprints = [RequestFingerprint(words: (8, 9))]
        #expect(try await other.claim(same) == .mismatched)
        let foreign = RequestFingerprint(words: (11, 13))
        #expect(try await other.claim(claim(scope, owner: 4, fingerprint: foreign)) == .mismatched)
        #expect(try await other.claim(claim(scope, owner: 4, fingerprint: foreign, consent: true)) == .mismatched)
    }

    /// With consent, what was in doubt under one fingerprint key is sent under another, and settled.
    private func replacedKey() async throws {
        let scope = scope()
        #expect(try await one.claim(claim(scope, owner: 1)) == .owned)
        try await one.settle(claim(scope, owner: 1), .unknown)
        var resend = claim(scope, owner: 2, fingerprint: .init(words: (7 << 48, 9)), consent: true)
        resend.otherFingerprints = [Self.fingerprint]
        #expect(try await other.claim(resend) == .owned)
        let answer = AcceptedResponse(status: 202, region: .europe, requestID: .uuid(1, 2))
        try await other.settle(resend, .accepted(answer))
        resend.owner.number = 3
        #expect(try await one.claim(resend) == .accepted(answer))
    }

    private func finalAnswers() async throws {
        for answer in [
            AcceptedResponse(status: 202, region: .northAmerica, requestID: .uuid(1, .max)),
            AcceptedResponse(status: 200, region: .europe, requestID: .text("not-a-uuid")),
            AcceptedResponse(status: 299, region: .farEast, requestID: nil),
        ] {
            let scope = scope()
            let first = claim(scope, owner: 1)
            #expect(try await one.claim(first) == .owned)
            try await one.settle(first, .accepted(answer))
            for settlement in [
                Settlement.released, .unknown, .accepted(.init(status: 250, region: .europe, requestID: nil)),
            ] {
                try await one.settle(first, settlement)
            }
            #expect(try await other.claim(claim(scope, owner: 2)) == .accepted(answer))
            #expect(try await other.claim(claim(scope, owner: 2, consent: true)) == .accepted(answer))
            #expect(try await hasReport(.accepted(answer), on: scope, at: other))
        }
    }

    /// A record that is reported on is still to live, and no longer than it was claimed for.
    private func hasReport(_ state: KeyReport.State, on scope: IdempotencyScope, at store: StoreOnLoop) async throws
        -> Bool
    {
        let report = try await store.report(scope)
        let remaining = try #require(report?.remaining)
        #expect(remaining > .zero && remaining <= Duration(claim(scope, owner: 1).retention))
        return report?.state == state && report?.fingerprint == Self.fingerprint
    }

    private func releaseAndDoubt() async throws {
        let scope = scope()
        #expect(try await one.claim(claim(scope, owner: 1)) == .owned)
        try await other.settle(claim(scope, owner: 2), .released)
        try await other.settle(claim(scope, owner: 2), .unknown)
        guard case .inFlight = try await other.claim(claim(scope, owner: 2)) else {
            Issue.record("settled by another than the owner")
            return
        }
        try await one.settle(claim(scope, owner: 1), .released)
        #expect(try await other.report(scope) == KeyReport(.absent))
        #expect(try await other.claim(claim(scope, owner: 2)) == .owned)
        try await other.settle(claim(scope, owner: 2), .unknown)
        #expect(try await one.claim(claim(scope, owner: 3)) == .unknown)
        #expect(try await hasReport(.unknown, on: scope, at: one))
        #expect(try await one.claim(claim(scope, owner: 3, consent: true)) == .owned)
        try await one.settle(claim(scope, owner: 3), .released)
        #expect(try await other.claim(claim(scope, owner: 4)) == .unknown, "a resend does not take the doubt away")
        #expect(try await one.claim(claim(scope, owner: 3, consent: true)) == .owned)
        let late = AcceptedResponse(status: 202, region: .europe, requestID: .uuid(5, 6))
        try await other.settle(claim(scope, owner: 2, retention: .milliseconds(5)), .accepted(late))
        try await one.settle(claim(scope, owner: 3), .released)
        #expect(try await one.claim(claim(scope, owner: 4)) == .accepted(late), "a late 202 beats everything")
        let remaining = try await other.report(scope)?.remaining
        #expect(remaining ?? .zero > .seconds(500), "it does not shorten the record of a later attempt")
    }

    private func leaseAndConsent() async throws {
        let scope = scope()
        let first = claim(scope, owner: 1, lease: .milliseconds(30))
        #expect(try await one.claim(first) == .owned)
        try await until { try await other.claim(claim(scope, owner: 2)) == .unknown }
        #expect(try await other.claim(claim(scope, owner: 2, consent: true)) == .owned)
        try await one.settle(first, .released)
        guard case .inFlight = try await one.claim(claim(scope, owner: 3, consent: true)) else {
            Issue.record("the first owner released what is not its any more")
            return
        }
    }

    private func retention() async throws {
        let scope = scope()
        let first = claim(scope, owner: 1, lease: .milliseconds(10), retention: .milliseconds(300))
        #expect(try await one.claim(first) == .owned)
        try await until { try await other.report(scope)?.state == .unknown }
        try await until { try await other.report(scope)?.state == .absent }
        #expect(try await other.claim(claim(scope, owner: 2)) == .owned)
    }

    private static let message = Receipt.Binding.message(fingerprint.messageBits)

    private func receipts() async throws {
        let first = Int64(Date().timeIntervalSince1970 * 1000)
        #expect(try await one.receive(scope(), at: first, binding: Self.message) == .absent)
        for answer in [
            AcceptedResponse(status: 202, region: .northAmerica, requestID: .uuid(1, .max)),
            AcceptedResponse(status: 200, region: .europe, requestID: .text("not-a-uuid")),
            AcceptedResponse(status: 299, region: .farEast, requestID: nil),
        ] {
            let scope = scope()
            #expect(try await one.claim(claim(scope, owner: 1)) == .owned)
            try await one.settle(claim(scope, owner: 1), .accepted(answer))
            #expect(
                try await one.receive(scope, at: first, binding: .latestExpiry(Int(first / 1000) + 500)) == .absent,
                "the record is that of a later window")
            #expect(
                try await one.receive(scope, at: first, binding: .message(Self.fingerprint.messageBits ^ 1)) == .absent,
                "the record is that of another message")
            #expect(
                try await other.receive(scope, at: first, binding: .latestExpiry(Int(first / 1000) + 700))
                    == .first(provesAcceptance: false))
            #expect(try await one.receive(scope, at: first + 9, binding: Self.message) == .again(at: first))
            var received = answer
            received.receivedAt = first
            #expect(try await hasReport(.accepted(received), on: scope, at: one))
            try await one.settle(claim(scope, owner: 1), .accepted(answer))
            #expect(try await other.claim(claim(scope, owner: 2)) == .accepted(received))
        }
        // How long its record lives yet says when it was accepted.
        let fresh = scope()
        #expect(try await one.claim(claim(fresh, owner: 1)) == .owned)
        let outcome = try await other.receive(Receipt(of: fresh, at: first, binding: Self.message))
        guard case .first(true, let remaining) = outcome else { return _ = Issue.record("\(outcome as Any)") }
        #expect(remaining > .seconds(590) && remaining <= .seconds(600))
        // What was doubtful is proven, stays proven, and nothing that its attempt says of it changes that.
        let (doubtful, proven) = (scope(), AcceptedResponse(provenAt: first))
        #expect(try await one.claim(claim(doubtful, owner: 1)) == .owned)
        try await one.settle(claim(doubtful, owner: 1), .unknown)
        #expect(try await other.receive(doubtful, at: first, binding: Self.message) == .first(provesAcceptance: true))
        for settlement in [Settlement.released, .unknown] {
            #expect(try await one.settle(claim(doubtful, owner: 1), settlement) == .accepted(proven))
        }
        #expect(try await one.settle(claim(doubtful, owner: 1), .refused(status: 404)) == .confirmed)
        #expect(try await hasReport(.accepted(proven), on: doubtful, at: other))
        #expect(try await one.claim(claim(doubtful, owner: 2, consent: true)) == .accepted(proven))
        // Amazon's answer comes late, and says what the receipt could not.
        var answer = AcceptedResponse(status: 202, region: .farEast, requestID: .uuid(3, 4))
        let before = try await other.report(doubtful)?.remaining
        let longer = claim(doubtful, owner: 1, retention: .hours(2))
        #expect(try await one.settle(longer, .accepted(answer)) == .confirmed)
        answer.receivedAt = first
        #expect(try await hasReport(.accepted(answer), on: doubtful, at: other))
        let after = try #require(try await other.report(doubtful)?.remaining)
        #expect(try after <= #require(before) + .seconds(1), "its record lives no longer for it")
        answer.region = .europe
        try await other.settle(claim(doubtful, owner: 1), .accepted(answer))
        #expect(try await one.claim(claim(doubtful, owner: 2)) != .accepted(answer), "the first answer stands")
    }

    /// What the caller alone has said, until the skill or Amazon does.
    private func acceptanceByCaller() async throws {
        let scope = scope()
        let said = AcceptedResponse(status: 202, region: nil, requestID: nil)
        #expect(try await one.claim(claim(scope, owner: 1)) == .owned)
        try await other.settle(claim(scope, owner: 9), .accepted(said))
        #expect(try await one.settle(claim(scope, owner: 1), .unknown) == .accepted(said))
        // As one that has learned of a receipt which has not come this far.
        let proven = AcceptedResponse(provenAt: 1_795_497_192_345)
        try await one.settle(claim(scope, owner: 1), .accepted(proven))
        #expect(try await hasReport(.accepted(proven), on: scope, at: other))
        var answer = AcceptedResponse(status: 202, region: .europe, requestID: .text("of-Amazon"))
        try await one.settle(claim(scope, owner: 1), .accepted(answer))
        answer.receivedAt = proven.receivedAt
        #expect(try await other.claim(claim(scope, owner: 2)) == .accepted(answer))
    }

    /// The attempt that is in flight has been reported by the skill: who waits for it need not wait for Amazon's answer.
    private func receiptOfAttemptInFlight() async throws {
        let scope = scope()
        #expect(try await one.claim(claim(scope, owner: 1)) == .owned)
        var outcome: ReceiptOutcome?
        let waiting = try await one.result(of: claim(scope, owner: 2)) {
            outcome = try await other.receive(scope, at: 7, binding: Self.message)
        }
        let result = try #require(waiting)
        #expect(outcome == .first(provesAcceptance: true))
        #expect((try? result.response.get())?.status == 202 && result.region == nil)
        try await one.settle(claim(scope, owner: 1), .released)
        #expect(try await one.claim(claim(scope, owner: 3)) == .accepted(AcceptedResponse(provenAt: 7)))
    }

    /// A record that lives shorter than those that were made before it.
    private func briefRecord() async throws {
        let (long, brief) = (scope(), scope())
        let answer = AcceptedResponse(status: 202, region: .europe, requestID: .uuid(3, 4))
        #expect(try await one.claim(claim(long, owner: 1)) == .owned)
        try await one.settle(claim(long, owner: 1), .accepted(answer))
        var first = claim(brief, owner: 1, lease: .milliseconds(100), retention: .milliseconds(400))
        first.isBrief = true
        #expect(try await one.claim(first) == .owned)
        try await one.settle(first, .accepted(answer))
        #expect(try await other.claim(first) == .accepted(answer))
        try await until { try await other.report(brief)?.state == .absent }
        #expect(try await other.claim(first) == .owned)
        #expect(try await other.claim(claim(long, owner: 2)) == .accepted(answer))
    }

    private func waiting() async throws {
        let scope = scope()
        let first = claim(scope, owner: 1)
        #expect(try await one.claim(first) == .owned)
        async let here = one.result(of: claim(scope, owner: 2))
        async let there = other.result(of: claim(scope, owner: 3))
        let accepted = AcceptedResponse(status: 202, region: .europe, requestID: .uuid(1, 2))
        let response = UpstreamResponse(status: 202, requestID: .uuid(1, 2))
        try await one.settle(first, .accepted(accepted), result: AttemptResult(.success(response), region: .europe))
        // Whoever came too late to wait claims again; that is what nil says.
        for found in [try await here, try await there] {
            if let found { #expect(try found.response.get() == response && found.region == .europe) }
        }
        #expect(try await other.claim(claim(scope, owner: 4)) == .accepted(accepted))
    }

    private func manyAtOnce() async throws {
        let scope = scope()
        let outcomes = try await withThrowingTaskGroup(of: ClaimOutcome.self) { tasks in
            for owner in 1...200 as ClosedRange<UInt64> {
                tasks.addTask { try await (owner % 2 == 0 ? one : other).claim(claim(scope, owner: owner)) }
            }
            return try await tasks.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.count { $0 == .owned } == 1)
        #expect(
            outcomes.count { if case .inFlight = $0 { true } else { false } } == 199)
    }

    /// Random claims and settlements find what `IdempotencyRecord` finds.
    private func likeTheModel() async throws {
        let answer = AcceptedResponse(status: 202, region: .europe, requestID: .uuid(7, 8))
        let now = NIODeadline.uptimeNanoseconds(0)
        for _ in 0..<20 {
            let scope = scope()
            var record: IdempotencyRecord?
            for _ in 0..<20 {
                let claim = claim(
                    scope, owner: .random(in: 1...3),
                    fingerprint: .random(in: 0..<8) == 0 ? .init(words: (0, 1)) : Self.fingerprint,
                    consent: .random())
                let store = Bool.random() ? one : other
                switch Int.random(in: 0..<5) {
                case 0...2:
                    let expected = IdempotencyRecord.claim(claim, on: &record, now: now)
                    let found = try await store.claim(claim)
                    if case .inFlight = expected, case .inFlight = found { continue }
                    #expect(found == expected)
                default:
                    let settlement = [Settlement.accepted(answer), .released, .released, .unknown, .unknown]
                        .randomElement()
                    guard let settlement else { continue }
                    let found = IdempotencyRecord.settle(claim, settlement, on: &record, now: now)
                    #expect(try await store.settle(claim, settlement) == SettlementReply(found: found))
                }
            }
        }
    }
}
