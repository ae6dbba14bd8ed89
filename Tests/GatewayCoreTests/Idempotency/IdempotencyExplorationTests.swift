import NIOCore
import Testing

@testable import GatewayCore

@Suite struct IdempotencyExplorationTests {
    private typealias Design = IdempotencyExploration.Design

    @Test(arguments: 1...4, [false, true])
    func `the shipped rules never double, in any course of events`(attempts: Int, lastConsents: Bool) {
        let result = IdempotencyExploration(design: .shipped, attempts: attempts, lastConsents: lastConsents).run()
        #expect(result.violation == nil)
        #expect(result.recordKinds == ["absent", "sending", "unknown", "accepted"])
        #expect(result.states > 20)
    }

    @Test(arguments: 1...4, [false, true])
    func `in a file they never double either, whichever write fails and whenever the process is killed`(
        attempts: Int, lastConsents: Bool
    ) {
        var design = Design.shipped
        design.isInFile = true
        let result = IdempotencyExploration(design: design, attempts: attempts, lastConsents: lastConsents).run()
        #expect(result.violation == nil)
        #expect(result.recordKinds == ["absent", "sending", "unknown", "accepted"])
        #expect(result.states > 20)
    }

    @Test(arguments: 1...4, [false, true])
    func `an equal message is sent again after its window, and never in it`(attempts: Int, lastConsents: Bool) {
        for isInFile in [false, true] {
            var design = Design.shipped
            (design.isInFile, design.isBrief) = (isInFile, true)
            let result = IdempotencyExploration(design: design, attempts: attempts, lastConsents: lastConsents).run()
            #expect(result.violation == nil)
            #expect(result.states > 20)
        }
    }

    @Test(arguments: 1...4, [false, true])
    func `receipts at any moment double nothing, and prove no more than there was`(attempts: Int, lastConsents: Bool) {
        for isInFile in [false, true] {
            var design = Design.withReceipts
            design.isInFile = isInFile
            let result = IdempotencyExploration(design: design, attempts: attempts, lastConsents: lastConsents).run()
            #expect(result.violation == nil)
            #expect(result.recordKinds == ["absent", "sending", "unknown", "accepted", "received"])
        }
    }

    @Test func `a receipt that frees a record, and one that anybody can make up, are found`() throws {
        var freeing = Design.withReceipts
        freeing.receive = { record, now in
            let outcome = IdempotencyRecord.receive(Design.receipt, on: &record, now: now)
            if case .first(provesAcceptance: true, _) = outcome { record = nil }
        }
        let doubled = IdempotencyExploration(design: freeing, attempts: 2, lastConsents: false).run()
        #expect(doubled.violation?.contains("the skill reports") == true)
        #expect(doubled.violation?.count(where: { $0.hasSuffix("sends") }) == 2)
        var forged = Design.withReceipts
        forged.takesForgedReceipts = true
        let wrong = IdempotencyExploration(design: forged, attempts: 1, lastConsents: false).run()
        #expect(wrong.violation?.last == "somebody else reports")
    }

    @Test func `an acceptance that comes late and cuts the window of another message is found`() throws {
        var design = Design.shipped
        design.isBrief = true
        design.settle = { claim, settlement, record, now in
            IdempotencyRecord.settle(claim, settlement, on: &record, now: now)
            if case .accepted = settlement { record?.expires = now + claim.retention }
        }
        let result = IdempotencyExploration(design: design, attempts: 3, lastConsents: false).run()
        #expect(result.violation?.count(where: { $0.hasSuffix("sends") }) == 3)
    }

    @Test func `a message that is sent before its claim is written is doubled by a kill`() throws {
        var design = Design.shipped
        design.isInFile = true
        design.sendsUnwritten = true
        let result = IdempotencyExploration(design: design, attempts: 2, lastConsents: false).run()
        #expect(result.violation?.contains("the process is killed") == true)
    }

    /// A lease that frees the record when it runs out, with nothing checked at the end.
    private static let lease = Design(
        claim: { claim, record, now in
            freeIfLeaseIsOver(&record, now)
            return IdempotencyRecord.claim(claim, on: &record, now: now)
        },
        settle: { claim, settlement, record, now in
            if case .accepted(let answer) = settlement {
                record = .init(fingerprint: claim.fingerprint, state: .accepted(answer), expires: .distantFuture)
            } else {
                record = nil
            }
        })

    /// The same, with the owner checked when it settles.
    private static let leaseWithOwner = Design(
        claim: lease.claim,
        settle: { claim, settlement, record, now in
            guard case .sending(claim.owner, _, _) = record?.state else { return }
            lease.settle(claim, settlement, &record, now)
        })

    /// The shipped rules, but for the one that holds the record: an orphan is taken over.
    private static let takeOver = Design(
        claim: { claim, record, now in
            freeIfLeaseIsOver(&record, now)
            return IdempotencyRecord.claim(claim, on: &record, now: now)
        },
        settle: Design.shipped.settle)

    private static func freeIfLeaseIsOver(_ record: inout IdempotencyRecord?, _ now: NIODeadline) {
        if case .sending(_, let leaseEnds, _) = record?.state, leaseEnds <= now { record = nil }
    }

    @Test func `with the held rule switched off, the double is found`() throws {
        for design in [Self.lease, Self.leaseWithOwner, Self.takeOver] {
            let result = IdempotencyExploration(design: design, attempts: 2, lastConsents: false).run()
            let steps = try #require(result.violation)
            #expect(steps.count(where: { $0.hasSuffix("sends") }) == 2)
            #expect(steps.count(where: { $0.hasSuffix("accepted by Amazon") }) == 2)
        }
    }

    @Test func `a store that loses an acknowledged claim doubles, which no rule can help`() throws {
        var design = Design.shipped
        design.storeLosesWrites = true
        let result = IdempotencyExploration(design: design, attempts: 2, lastConsents: false).run()
        #expect(result.violation?.contains("the store loses the claim") == true)
    }
}
