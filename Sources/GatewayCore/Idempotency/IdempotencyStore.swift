package import NIOCore

/// Which store holds a record; a label of the metrics.
package enum StoreKind: String, CaseIterable, Sendable {
    case memory
    case redis
}

/// What a claim found, and where.
package struct ClaimReply: Equatable, Sendable {
    package var outcome: ClaimOutcome
    /// Differs from the kind of the store that was asked where that one stood in for it.
    package var store: StoreKind

    package init(_ outcome: ClaimOutcome, _ store: StoreKind) {
        self.outcome = outcome
        self.store = store
    }
}

/// Whether a store has what became of an attempt.
package enum SettlementReply: Equatable, Sendable {
    case confirmed
    /// It could not be reached, and is told again and again in the background.
    case pending
}

/// What an attempt came to, for the duplicates that wait for it.
package struct AttemptResult: Sendable {
    /// The region's response, or why there is none: for whoever sends, nothing that a store looks at.
    package var response: Result<UpstreamResponse, any Error>
    /// The region the message was for.
    package var region: Region?

    package init(_ response: Result<UpstreamResponse, any Error>, region: Region?) {
        self.response = response
        self.region = region
    }
}

/// Where idempotency records live, as one event loop sees it.
///
/// `claim` and `settle` are atomic for one record and follow `IdempotencyRecord` to the letter. A record, once made,
/// is found by every later claim until its retention ends, unless it was released or, being accepted, evicted.
///
/// Futures succeed, always, and soon: a store that cannot be reached says so.
package protocol IdempotencyStore: AnyObject {
    var kind: StoreKind { get }

    func claim(_ claim: IdempotencyClaim, on eventLoop: any EventLoop) -> Eventual<ClaimReply>

    /// What a claim would find if its message has been accepted, where that is known at once; nil otherwise. Changes nothing.
    func acceptedResponse(to claim: IdempotencyClaim, now: NIODeadline) -> AcceptedResponse?

    /// Ready when the store has it, or when it is certain that the store goes on trying.
    ///
    /// - Parameter result: what the caller of this attempt gets; those who wait for it get the same.
    func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement, result: AttemptResult, on eventLoop: any EventLoop
    ) -> Eventual<SettlementReply>

    /// For a claim that found another attempt in flight: what that comes to, once it has, or nil once claiming
    /// again says what became of it. The waiter bounds the wait; a result after that is dropped.
    func resultOfAttemptInFlight(
        _ claim: IdempotencyClaim, on eventLoop: any EventLoop
    ) -> Eventual<AttemptResult?>

    /// What has become of a key, without claiming it; nil if the store cannot be reached.
    func report(on scope: IdempotencyScope, on eventLoop: any EventLoop) -> Eventual<KeyReport?>
}

extension IdempotencyStore {
    /// A store that has to be asked over a network knows nothing at once.
    package func acceptedResponse(to claim: IdempotencyClaim, now: NIODeadline) -> AcceptedResponse? { nil }
}
