package import GatewayCore
package import NIOCore

/// How records are kept: as shipped, or in a way that is known to fail, so that the simulation is seen to find it.
package struct StoreDesign: Sendable {
    package var claim: @Sendable (IdempotencyClaim, inout IdempotencyRecord?, NIODeadline) -> ClaimOutcome
    /// What an old connection has left unread at the server is decided before a new one is used.
    package var fences = true
    /// A failover loses what was confirmed last, now and then.
    package var losesWrites = false

    package static let shipped = StoreDesign(claim: { IdempotencyRecord.claim($0, on: &$1, now: $2) })

    /// A lease that has run out is free: the design that most libraries have.
    package static let lease = StoreDesign(claim: { claim, record, now in
        if case .sending(_, let leaseEnds, _) = record?.state, leaseEnds <= now { record = nil }
        return IdempotencyRecord.claim(claim, on: &record, now: now)
    })

    package static let unfenced: StoreDesign = {
        var design = shipped
        design.fences = false
        return design
    }()

    package static let forgetful: StoreDesign = {
        var design = shipped
        design.losesWrites = true
        return design
    }()
}

/// The one server that keeps the records: can stall and be killed, and keeps on disk what it has confirmed.
final class SimulatedServer {
    private let timeline: Timeline
    private let ledger: Ledger
    let design: StoreDesign
    private(set) var records: [IdempotencyScope: IdempotencyRecord] = [:]
    private(set) var isReachable = true
    private var isStalled = false
    /// A connection as the server has it: read in order, but not in the order of other connections.
    final class Lane {
        fileprivate var busyUntil = NIODeadline.uptimeNanoseconds(0)
    }

    /// What came while it was stalled; read when it goes on.
    private var unread: [(lane: Lane, command: () -> Void)] = []
    private var lastClaim: IdempotencyScope?

    init(_ timeline: Timeline, ledger: Ledger, design: StoreDesign) {
        self.ledger = ledger
        self.timeline = timeline
        self.design = design
    }

    var answers: Bool { isReachable && !isStalled }

    /// A command has arrived.
    func receive(on lane: Lane, _ command: @escaping () -> Void) {
        guard isReachable else { return }
        if isStalled {
            unread.append((lane, command))
        } else if lane.busyUntil > timeline.now {
            timeline.at(lane.busyUntil, command)
        } else {
            command()
        }
    }

    func stall() {
        ledger.onEvent?("the server stalls")
        isStalled = true
    }

    func goOn() {
        ledger.onEvent?("the server goes on")
        isStalled = false
        for (lane, command) in unread {
            // It has a lot to catch up on, and reads one connection after the other.
            if lane.busyUntil <= timeline.now {
                lane.busyUntil = timeline.now + TimeAmount(timeline.milliseconds(0...300))
            }
            timeline.at(lane.busyUntil) { [self] in if isReachable { command() } }
        }
        unread.removeAll()
    }

    func kill() {
        ledger.onEvent?("the server is killed")
        isReachable = false
        isStalled = false
        unread.removeAll()
        if design.losesWrites, let lastClaim { records[lastClaim] = nil }
    }

    func restart() { isReachable = true }

    func claim(_ claim: IdempotencyClaim) -> ClaimOutcome {
        var record = records[claim.scope]
        defer { records[claim.scope] = record }
        lastClaim = claim.scope
        let outcome = design.claim(claim, &record, timeline.now)
        ledger.onEvent?(
            "attempt \(claim.owner.origin)/\(claim.owner.number) claims\(claim.consent ? " with consent" : ""): \(outcome)"
        )
        return outcome
    }

    func settle(_ claim: IdempotencyClaim, _ settlement: Settlement) -> AcceptedResponse? {
        ledger.onEvent?("attempt \(claim.owner.origin)/\(claim.owner.number) settles \(settlement)")
        return IdempotencyRecord.settle(claim, settlement, on: &records[claim.scope], now: timeline.now)
    }

    func receive(_ receipt: Receipt) -> ReceiptOutcome {
        let outcome = IdempotencyRecord.receive(
            receipt, on: &records[receipt.scope], now: timeline.now,
            unixMilliseconds: SimulatedProcess.wallClock(timeline.now).milliseconds)
        ledger.onEvent?("a receipt: \(outcome)")
        return outcome
    }

    func report(_ scope: IdempotencyScope) -> KeyReport {
        IdempotencyRecord.report(on: records[scope], now: timeline.now)
    }
}
