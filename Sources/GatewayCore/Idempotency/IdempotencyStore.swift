public import NIOCore

/// A value that mostly is there at once, and sometimes comes later on the caller's event loop.
///
/// The data plane asks this way so that a message that has to wait for nothing pays for no future.
public enum Eventual<Value: Sendable>: Sendable {
    case now(Value)
    case later(EventLoopFuture<Value>)
}

/// Where idempotency records live.
///
/// `claim` and `settle` are atomic for one record and follow `IdempotencyRecord` to the letter. A record, once made,
/// is found by every later claim until its retention ends, unless it was released or, being accepted, evicted.
public protocol IdempotencyStore: Sendable {
    func claim(_ claim: IdempotencyClaim, on eventLoop: any EventLoop) -> Eventual<ClaimOutcome>

    /// - Parameter answer: what the caller of this attempt gets; those who wait for it get the same.
    func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement, answer: Answer, on eventLoop: any EventLoop
    ) -> Eventual<Void>

    /// The answer of the attempt in flight under this scope, once there is one; nil if none is in flight any more, so
    /// that claiming anew says what became of it. The waiter bounds the wait; an answer after that is dropped.
    func answerOfAttemptInFlight(_ scope: IdempotencyScope, on eventLoop: any EventLoop) -> EventLoopFuture<Answer>?

    /// The answer of an accepted message, without claiming anything: for a duplicate that cannot be sent now anyway.
    func acceptedAnswer(
        _ scope: IdempotencyScope, _ fingerprint: RequestFingerprint, on eventLoop: any EventLoop
    ) -> Eventual<AcceptedAnswer?>
}
