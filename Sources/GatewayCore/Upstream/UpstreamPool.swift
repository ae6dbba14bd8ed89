package import NIOCore

/// Why a message has no connection to its region. Nothing was sent.
package enum UpstreamUnavailable: Error, Equatable, Sendable {
    case notResolved
    case connectionRefused
    case connectTimeout
    /// The proxy was there, and made no tunnel.
    case tunnelRefused(String)
    case tlsFailed(String)
    /// The connection was there and is gone, before a byte of the message was written.
    case connectionLost
    /// All connections are busy and stayed so.
    case noFreeConnection
    /// The skill has as many messages in flight as Amazon, which answers 429 to more, seems to take from it.
    case skillThrottled
    /// The region neither took connections nor answered of late.
    case circuitOpen(retryAfter: Duration)
}

/// Why a message that was handed to the socket has no answer. Unless the region says otherwise, it may have been accepted.
package enum UpstreamFailure: Error, Equatable, Sendable {
    case timeout
    case connectionLost
    case malformedAnswer(String)
    /// The region has done nothing with it, and says so (RFC 9113 section 8.7).
    case notProcessed
}

/// The connections of one event loop to one region.
package protocol UpstreamPool: AnyObject {
    /// A connection that is established and has room for this message, until it sends or gives it back.
    ///
    /// Nil when there is none yet: `receiver` is told later, once, whether one came.
    func lease(for receiver: any UpstreamReceiver) -> Result<any UpstreamConnection, UpstreamUnavailable>?
}

/// One established connection, leased for a message; where the protocol allows, for several at once. Bound to its event loop.
package protocol UpstreamConnection: AnyObject {
    /// Writes the request, once. False if the connection is gone and not a byte was written.
    ///
    /// After true, exactly one of `upstreamResponded` and `upstreamFailed` is called, about the receiver's `deadline` at the latest.
    /// The connection waits for the answer until `limit`, and has gone back to its pool or is closed before the receiver is told how it
    /// ended: by one of these calls or, if the receiver's deadline came first, by `upstreamEnded`.
    func send(_ request: UpstreamRequest, limit: NIODeadline, receiver: any UpstreamReceiver) -> Bool

    /// The receiver has learned elsewhere what became of its message: it is told nothing but how the connection ended, by
    /// `upstreamEnded`.
    func stopAwaiting(_ receiver: any UpstreamReceiver)

    /// Gives the connection back unused by its receiver.
    func release(by receiver: any UpstreamReceiver)
}

/// A message on its way to the upstream.
package protocol UpstreamReceiver: AnyObject {
    /// Whose message it is, as a small number: owners whose messages wait for a connection take turns.
    var owner: Int { get }
    /// Which skill's message it is, as a small number: Amazon limits each skill by itself.
    var skill: Int { get }
    /// When it has to be answered: it waits neither for a connection nor for an answer any longer.
    var deadline: NIODeadline { get }
    func upstreamLeased(_ result: Result<any UpstreamConnection, UpstreamUnavailable>)
    /// No answer has come yet. Called about ten times a second.
    func upstreamStillAwaited(now: NIODeadline)
    func upstreamResponded(_ answer: UpstreamResponse)
    func upstreamFailed(_ failure: UpstreamFailure)
    /// What came after `upstreamFailed(.timeout)`; nil if nothing did.
    func upstreamEnded(late answer: UpstreamResponse?)
}
