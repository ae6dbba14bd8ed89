package import NIOCore

/// Which store holds a record; a label of the metrics.
package enum StoreKind: String, CaseIterable, Sendable {
    case memory
    case file
    case redis

    /// Among all, counted from 0.
    var place: Int {
        switch self {
        case .memory: 0
        case .file: 1
        case .redis: 2
        }
    }
}

/// The outcome of a claim, and which store returned it.
package struct ClaimReply: Equatable, Sendable {
    package var outcome: ClaimOutcome
    /// Differs from the `kind` of the store that was asked if a fallback store replied.
    package var store: StoreKind

    package init(_ outcome: ClaimOutcome, _ store: StoreKind) {
        self.outcome = outcome
        self.store = store
    }
}

/// Whether a store has recorded the outcome of an attempt.
package enum SettlementReply: Equatable, Sendable {
    case confirmed
    /// The message is known to have been accepted, which this attempt did not find out.
    case accepted(AcceptedResponse)
    /// The store could not be reached; settling is retried in the background.
    case pending

    package init(found: AcceptedResponse?) {
        self = found.map(Self.accepted) ?? .confirmed
    }
}

/// The outcome of an attempt, for the duplicates that wait for it.
package struct AttemptResult: Sendable {
    /// The region's response, or why there is none. Opaque to stores.
    package var response: Result<UpstreamResponse, any Error>
    /// The region the message was for.
    package var region: Region?
    /// As the record has it, where it is not Amazon who says that the message was accepted.
    private(set) var attested: AcceptedResponse?
    package var witness: AcceptedResponse.Witness? { attested?.witness }
    /// It is an acceptance that the store has not confirmed yet.
    package private(set) var isPending = false

    package init(_ response: Result<UpstreamResponse, any Error>, region: Region?) {
        self.response = response
        self.region = region
    }

    package init(_ accepted: AcceptedResponse) {
        self.init(.success(UpstreamResponse(accepted)), region: accepted.region)
        if accepted.witness != nil { attested = accepted }
    }

    /// The skill has received it, so it was accepted; what Amazon answered is not known.
    package static func provenByReceipt(at received: Int64) -> Self {
        Self(AcceptedResponse(provenAt: received))
    }

    /// What those who wait are told once the store has replied to its settlement: the same as the caller of the attempt.
    package func settled(_ reply: SettlementReply) -> Self {
        switch reply {
        case .confirmed: return self
        case .accepted(let found): return Self(found)
        case .pending:
            var result = self
            result.isPending = (try? response.get())?.status == 202
            return result
        }
    }
}

/// Where idempotency records live, as one event loop sees it.
///
/// `claim` and `settle` are atomic per record and follow the rules of `IdempotencyRecord` exactly. A record, once made,
/// is found by every later claim until its retention ends, unless it was released or, being accepted, evicted.
///
/// Futures always succeed, and soon: if the store cannot be reached, the value says so.
package protocol IdempotencyStore: AnyObject {
    var kind: StoreKind { get }

    /// The record of `scope` is about to be asked for: where records are in this process's memory, the processor fetches what the
    /// look-up reads first into its cache meanwhile.
    func prefetch(_ scope: IdempotencyScope)

    /// - Parameter now: read a moment ago, as in `settle`.
    func claim(_ claim: IdempotencyClaim, now: NIODeadline, on eventLoop: any EventLoop) -> Eventual<ClaimReply>

    /// The first response, if the claim's message is already known here to be accepted; nil otherwise. Changes nothing.
    func acceptedResponse(to claim: IdempotencyClaim, now: NIODeadline) -> AcceptedResponse?

    /// Completes when the store has confirmed the settlement, or has queued it to be retried.
    ///
    /// - Parameter result: what the caller of this attempt gets; those who wait for it get the same, once the store
    ///   has replied.
    func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement, result: AttemptResult, now: NIODeadline,
        on eventLoop: any EventLoop
    ) -> Eventual<SettlementReply>

    /// For a claim that found another attempt in flight: that attempt's outcome once it ends, or nil if claiming again is
    /// needed to learn it. The waiter limits the wait; a later result is dropped.
    func resultOfAttemptInFlight(
        _ claim: IdempotencyClaim, on eventLoop: any EventLoop
    ) -> Eventual<AttemptResult?>

    /// A skill reports that it has received the message; nil if the store cannot be reached. Those who wait for the result of an
    /// attempt get that it was accepted.
    func receive(
        _ receipt: Receipt, on eventLoop: any EventLoop
    ) -> Eventual<ReceiptOutcome?>

    /// What has become of a key, without claiming it; nil if the store cannot be reached.
    func report(on scope: IdempotencyScope, on eventLoop: any EventLoop) -> Eventual<KeyReport?>
}

extension IdempotencyStore {
    package func prefetch(_ scope: IdempotencyScope) {}

    package func claim(_ claim: IdempotencyClaim, on eventLoop: any EventLoop) -> Eventual<ClaimReply> {
        self.claim(claim, now: eventLoop.now, on: eventLoop)
    }

    package func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement, result: AttemptResult, on eventLoop: any EventLoop
    ) -> Eventual<SettlementReply> {
        settle(claim, settlement, result: result, now: eventLoop.now, on: eventLoop)
    }

    /// A store across a network cannot tell without a request.
    package func acceptedResponse(to claim: IdempotencyClaim, now: NIODeadline) -> AcceptedResponse? { nil }
}
