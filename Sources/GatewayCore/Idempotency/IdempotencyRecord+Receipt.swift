package import NIOCore

/// A skill's report that it has received a message.
package struct Receipt: Equatable, Sendable {
    /// Which of the messages it is that come under one scope, one after another.
    package enum Binding: Equatable, Sendable {
        /// The one of this fingerprint, by 32 of its bits: a key may be used again, for another message.
        case message(UInt32)
        /// One whose record expires at this time at the latest, in Unix seconds. A record that expires later is that of an equal message, which
        /// came when the window of this one was over. Half a window lies between them, so that neither clocks that differ nor a report
        /// that was long on its way make one out of the other.
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

    /// When a record of the message expires at the latest, as Unix time in milliseconds; nil: whenever it says.
    package var latestExpiry: Int64? {
        if case .latestExpiry(let seconds) = binding { Int64(clamping: seconds) * 1000 } else { nil }
    }

    /// Whether a record of this fingerprint that lives so long yet is the message's.
    ///
    /// - Parameter unixMilliseconds: now, where the record is: a report may have been on its way.
    func isOf(_ recorded: RequestFingerprint, remaining: Duration, unixMilliseconds: Int64) -> Bool {
        switch binding {
        case .message(let bits): bits == recorded.messageBits
        case .latestExpiry(let seconds):
            remaining <= .seconds(seconds) - .milliseconds(max(receivedAt, unixMilliseconds))
        }
    }

    /// As the binding has them; nil: any.
    package var fingerprint: UInt32? {
        if case .message(let fingerprint) = binding { fingerprint } else { nil }
    }
}

extension RequestFingerprint {
    /// As a receipt has them. Not the first, which say with which key it was made.
    package var messageBits: UInt32 { UInt32(truncatingIfNeeded: words.1 >> 32) }
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
    ///
    /// - Parameter unixMilliseconds: the same time as `now`; nil: when it was reported.
    package static func receive(
        _ receipt: Receipt, on record: inout IdempotencyRecord?, now: NIODeadline, unixMilliseconds: Int64? = nil
    ) -> ReceiptOutcome {
        guard var current = record, current.expires > now else { return .absent }
        let remaining = Duration(from: now, to: current.expires)
        guard
            receipt.isOf(
                current.fingerprint, remaining: remaining, unixMilliseconds: unixMilliseconds ?? receipt.receivedAt)
        else { return .absent }
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
