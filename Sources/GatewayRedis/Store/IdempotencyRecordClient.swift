package import GatewayCore

/// Why a command has no reply, and what may have become of it.
package enum IdempotencyRecordError: Error, Equatable, Sendable {
    /// The server did not do it and will not: it was never sent, or refused.
    case notDone
    /// The server did not do it since it has no room for another record.
    case full
    /// It was sent and no reply came: it may be done, now or later, until `onAvailable` is called the next time.
    case undecided
    /// Done, and not known to as many replicas as it takes to survive a failover.
    case notReplicated
    /// Done, by a server that has lost the records of before: another attempt may have been made under this key.
    case forgotten

    /// Whether there may be a record now that nobody answers for.
    var mayBeDone: Bool {
        switch self {
        case .notDone, .full: false
        case .undecided, .notReplicated, .forgotten: true
        }
    }
}

/// A server that keeps the idempotency records of many gateways, as one event loop reaches it. Bound to that loop.
///
/// Each command is atomic at the server and follows `IdempotencyRecord` to the letter. Its completion is called once
/// and soon: a server that does not answer in time is a failure. Commands take effect in the order they were given.
package protocol IdempotencyRecordClient: AnyObject {
    /// Called whenever the server has come within reach again. By then every command that was left undecided has
    /// either been done or never will be, so that what follows it in time follows it in effect, too.
    var onAvailable: (() -> Void)? { get set }

    func claim(
        _ claim: IdempotencyClaim, _ completion: @escaping (Result<ClaimOutcome, IdempotencyRecordError>) -> Void)

    /// Completes with what `IdempotencyRecord.settle` has found.
    func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement,
        _ completion: @escaping (Result<AcceptedResponse?, IdempotencyRecordError>) -> Void)

    func receive(
        _ receipt: Receipt,
        _ completion: @escaping (Result<ReceiptOutcome, IdempotencyRecordError>) -> Void)

    func report(
        on scope: IdempotencyScope, _ completion: @escaping (Result<KeyReport, IdempotencyRecordError>) -> Void)
}
