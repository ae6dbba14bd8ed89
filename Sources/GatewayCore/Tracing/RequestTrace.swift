package import NIOCore

/// One request and what it waited for, as traces show it. It holds neither userId nor key nor content.
package struct RequestTrace: Sendable {
    /// One thing that the request waited for, or did.
    package struct Step: Sendable {
        package enum Kind: Sendable {
            /// What other replicas know: the caller's rate, or where the user lives.
            case replicas
            case token(isRenewal: Bool)
            /// For a connection that has room.
            case queue
            case claim(StoreKind, outcome: ForwardingInstruments.ClaimOutcomeLabel?)
            case send(Attempt)
            /// Until the message may be sent again, which the skill's quota has not let through.
            case quota
            /// Records the outcome.
            case settle
            /// Looks for an earlier outcome, with nothing sent.
            case record
            /// For another request with the same key.
            case duplicate
        }

        package internal(set) var kind: Kind
        package let spanID: UInt64
        package let region: Region?
        /// Both since the beginning of the trace.
        package let began: TimeAmount
        package internal(set) var ended: TimeAmount
    }

    /// One try to send the message.
    package struct Attempt: Equatable, Sendable {
        /// Counted from 0.
        package var resends = 0
        /// Nil: not a byte of it was written.
        package var reason: ForwardingInstruments.AttemptReason?
        package var status: Int?
        /// Amazon's name for it.
        package var requestID: RequestID?
        package var failure: UpstreamFailure?
    }

    package let action: AuditLog.Action
    package let traceID: TraceID
    package let spanID: UInt64
    /// Of the caller's span; nil: the trace begins here.
    package let parentID: UInt64?
    package let began: UnixTimestamp
    package let duration: TimeAmount
    package internal(set) var steps: [Step] = []
    /// The spans of the messages that it repeats or reports.
    package internal(set) var links: [SpanReference] = []
    package let version: HTTPVersion
    /// It came over TLS.
    package let isSecure: Bool
    package let clientAddress: String
    /// Their names; nil where that was never settled.
    package let caller: String?
    package let skill: String?
    package let region: Region?
    package let keySource: IdempotencyKeySource.Label?
    /// `X-Request-Id` of the response.
    package let requestID: String
    /// The name of its idempotency record in the logs.
    package let record: String?
    package let status: Int
    package let source: Response.Source
    package let problem: Problem?
    /// Of the content of the request.
    package let contentBytes: Int
}
