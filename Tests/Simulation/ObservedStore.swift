import GatewayCore
import NIOCore

/// What a process has claimed and settled, as far as it knows.
final class Attempts {
    /// When each attempt last asked for its record.
    var claimedAt: [UInt64: NIODeadline] = [:]
    /// Attempts that hold a record as far as this process knows, or may.
    var unsettled: [UInt64: IdempotencyClaim] = [:]
    /// The last attempt of this process that was given each record.
    var owned: [IdempotencyScope: IdempotencyClaim] = [:]

    func claims(_ claim: IdempotencyClaim, at now: NIODeadline) {
        claimedAt[claim.owner.number] = now
        unsettled[claim.owner.number] = claim
    }

    func claimed(_ claim: IdempotencyClaim, _ outcome: ClaimOutcome) {
        if outcome == .owned { owned[claim.scope] = claim } else { unsettled[claim.owner.number] = nil }
    }

    func settled(_ claim: IdempotencyClaim) { unsettled[claim.owner.number] = nil }
}

/// A store that replies at once, and what is asked of it.
final class ObservedStore: IdempotencyStore {
    private let store: any IdempotencyStore
    private let attempts: Attempts
    private let ledger: Ledger

    init(_ store: any IdempotencyStore, _ attempts: Attempts, ledger: Ledger) {
        self.store = store
        self.attempts = attempts
        self.ledger = ledger
    }

    var kind: StoreKind { store.kind }

    func claim(_ claim: IdempotencyClaim, now: NIODeadline, on eventLoop: any EventLoop) -> Eventual<ClaimReply> {
        attempts.claims(claim, at: now)
        let reply = store.claim(claim, now: now, on: eventLoop)
        if case .now(let reply) = reply {
            ledger.onEvent?(
                "attempt \(claim.owner.origin)/\(claim.owner.number) claims\(claim.consent ? " with consent" : ""): \(reply.outcome)"
            )
            attempts.claimed(claim, reply.outcome)
        }
        return reply
    }

    func acceptedResponse(to claim: IdempotencyClaim, now: NIODeadline) -> AcceptedResponse? {
        store.acceptedResponse(to: claim, now: now)
    }

    func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement, result: AttemptResult, now: NIODeadline,
        on eventLoop: any EventLoop
    ) -> Eventual<SettlementReply> {
        ledger.onEvent?("attempt \(claim.owner.origin)/\(claim.owner.number) settles \(settlement)")
        let reply = store.settle(claim, settlement, result: result, now: now, on: eventLoop)
        switch reply {
        case .now(.confirmed), .now(.accepted): attempts.settled(claim)
        case .now(.pending), .later: break
        }
        return reply
    }

    func resultOfAttemptInFlight(_ claim: IdempotencyClaim, on eventLoop: any EventLoop) -> Eventual<AttemptResult?> {
        store.resultOfAttemptInFlight(claim, on: eventLoop)
    }

    func receive(
        _ receipt: Receipt, on eventLoop: any EventLoop
    ) -> Eventual<ReceiptOutcome?> {
        let reply = store.receive(receipt, on: eventLoop)
        if case .now(let outcome) = reply { ledger.onEvent?("a receipt: \(outcome.map { "\($0)" } ?? "nobody")") }
        return reply
    }

    func report(on scope: IdempotencyScope, on eventLoop: any EventLoop) -> Eventual<KeyReport?> {
        store.report(on: scope, on: eventLoop)
    }
}
