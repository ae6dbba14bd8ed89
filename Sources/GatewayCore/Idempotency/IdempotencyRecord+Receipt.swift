package import NIOCore

/// A skill's report that it has received a message.
package struct Receipt: Equatable, Sendable {
    /// Which of the messages it is that come under one scope, one after another.
    package enum Binding: Equatable, Sendable {
        /// The one of this fingerprint, by its first 32 bits: a key may be used again, for another message.
        case message(UInt32)
        /// One whose record expires at this time at the latest, in Unix seconds. A record that expires later is that of an equal message, which
        /// came when the window of this one was over.
        case latestExpiry(Int)
    }

    package var scope: IdempotencyScope
    /// When it was reported; Unix time in milliseconds.
    package var receivedAt: Int64
    package var binding: Binding

    package init(of scope: IdempotencyScope, at receivedAt: Int64, binding: Binding) {
        self.scope = scope
        self.receivedAt = receivedAt
        self.binding = binding
    }

    /// How long a record of the message lives yet; nil: as long as it says.
    package var longestRemaining: Duration? {
        guard case .latestExpiry(let seconds) = binding else { return nil }
        return max(.zero, .seconds(seconds) - .milliseconds(receivedAt))
    }

    /// The first 32 bits of the message's fingerprint; nil: any.
    package var fingerprint: UInt32? {
        if case .message(let fingerprint) = binding { fingerprint } else { nil }
    }
}

extension RequestFingerprint {
    /// As a receipt has them.
    package var firstBits: UInt32 { UInt32(truncatingIfNeeded: words.0 >> 32) }
}

/// What a skill's report that it has received a message did to the message's record.
package enum ReceiptOutcome: Equatable, Sendable {
    /// It is the first report of it.
    ///
    /// - Parameters:
    ///   - provesAcceptance: until then it was not known that Amazon had accepted the message.
    ///   - remaining: until its record expires.
    case first(provesAcceptance: Bool, remaining: Duration = .zero)
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
    package static func receive(
        _ receipt: Receipt, on record: inout IdempotencyRecord?, now: NIODeadline
    ) -> ReceiptOutcome {
        guard var current = record, current.expires > now,
            receipt.longestRemaining.map({ current.expires <= now + $0 }) ?? true,
            receipt.fingerprint ?? current.fingerprint.firstBits == current.fingerprint.firstBits
        else { return .absent }
        let remaining = Duration(from: now, to: current.expires)
        switch current.state {
        case .accepted(var answer):
            if let first = answer.receivedAt { return .again(at: first) }
            answer.receivedAt = receipt.receivedAt
            current.state = .accepted(answer)
            record = current
            return .first(provesAcceptance: false, remaining: remaining)
        case .sending, .unknown:
            current.state = .accepted(AcceptedResponse(provenAt: receipt.receivedAt))
            record = current
            return .first(provesAcceptance: true, remaining: remaining)
        }
    }
}

extension AcceptedResponse {
    /// For a message of which a receipt alone proves that it was accepted: Amazon's answer is not known.
    package init(provenAt received: Int64) {
        self.init(status: 202, region: nil, requestID: nil, receivedAt: received)
    }

    /// Who says that it was accepted, where Amazon's answer is not known; nil where it is.
    package var witness: Witness? { region != nil ? nil : receivedAt == nil ? .caller : .receipt }

    package enum Witness: String, Sendable { case caller, receipt }
}
