package import NIOCore

/// What a skill's report that it has received a message did to the message's record.
package enum ReceiptOutcome: Equatable, Sendable {
    /// It is the first report of it.
    ///
    /// - Parameter provesAcceptance: until then it was not known that Amazon had accepted the message.
    case first(provesAcceptance: Bool)
    /// It was reported before.
    ///
    /// - Parameter at: when first; Unix time in milliseconds.
    case again(at: Int64)
    /// There is no record: it was released or forgotten, so that the report proves nothing that would be asked for.
    case absent
}

extension IdempotencyRecord {
    /// Applies a skill's report to `record`; nil stands for absent.
    ///
    /// Whoever has received a message proves that Amazon accepted it, whatever is known of the attempts at sending it. A report frees
    /// no record, contradicts no answer, and makes no record live longer.
    ///
    /// - Parameter received: when it was reported; Unix time in milliseconds.
    package static func receive(
        at received: Int64, on record: inout IdempotencyRecord?, now: NIODeadline
    ) -> ReceiptOutcome {
        guard var current = record, current.expires > now else { return .absent }
        switch current.state {
        case .accepted(var answer):
            if let first = answer.receivedAt { return .again(at: first) }
            answer.receivedAt = received
            current.state = .accepted(answer)
            record = current
            return .first(provesAcceptance: false)
        case .sending, .unknown:
            current.state = .accepted(AcceptedResponse(provenAt: received))
            record = current
            return .first(provesAcceptance: true)
        }
    }
}

extension AcceptedResponse {
    /// For a message of which a receipt alone proves that it was accepted: Amazon's answer is not known.
    package init(provenAt received: Int64) {
        self.init(status: 202, region: nil, requestID: nil, receivedAt: received)
    }

    /// Whether a receipt alone proves it.
    package var isProvenByReceipt: Bool { region == nil }
}
