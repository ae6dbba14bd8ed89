import GatewayCore
import NIOCore

/// What the reply to a claim means.
enum ClaimReading: Equatable {
    case outcome(ClaimOutcome)
    /// The record is held by another attempt, or doubtful and there is consent: only the script can say more.
    case askByScript
    /// The record is doubtful and was made with another key: with consent, the script may replace it.
    case replace(RequestFingerprint)
    /// What is under the key is no record of ours.
    case unreadable

    init(_ reply: RESPValue, to claim: IdempotencyClaim) {
        switch reply {
        case .null, .integer(1): self = .outcome(.owned)
        case .string(let bytes): self.init(RecordValue(bytes), remaining: nil, claim)
        case .array(let elements):
            guard elements.count == 2, case .string(let bytes) = elements[0], case .integer(let remaining) = elements[1]
            else {
                self = .unreadable
                return
            }
            self.init(RecordValue(bytes), remaining: remaining, claim)
        case .error, .integer, .boolean, .push: self = .unreadable
        }
    }

    private init(_ record: RecordValue?, remaining: Int?, _ claim: IdempotencyClaim) {
        guard let record else {
            self = .unreadable
            return
        }
        if let difference = claim.difference(from: record.fingerprint) {
            self = .outcome(difference)
            return
        }
        switch record {
        case .accepted(_, let answer): self = .outcome(.accepted(answer))
        case .sending(_, claim.owner, _, _): self = .outcome(.owned)  // the reply to its first claim was lost
        case .unknown where !claim.consent: self = .outcome(.unknown)
        case .sending, .unknown:
            guard let remaining else {
                self = .askByScript
                return
            }
            // The script replaces what has the very fingerprint it was given.
            if claim.consent, record.fingerprint != claim.fingerprint, record.isDoubtful(remaining: remaining) {
                self = .replace(record.fingerprint)
                return
            }
            switch record.report(remaining: remaining).state {
            // No lease is longer, whatever the server's clock has been made to say.
            case .inFlight(let left): self = .outcome(.inFlight(left: min(left, Duration(claim.lease))))
            case .absent, .accepted, .unknown: self = .outcome(.unknown)
            }
        }
    }
}

extension AcceptedResponse {
    /// What `IdempotencyRecord.settle` finds, by the reply to it.
    init?(found reply: RESPValue, by settlement: Settlement) {
        guard settlement == .unknown || settlement == .released, case .string(let bytes) = reply,
            case .accepted(_, let answer) = RecordValue(bytes)
        else { return nil }
        self = answer
    }
}

extension ReceiptOutcome {
    /// What the reply to a skill's report means; nil for what is none.
    init?(_ reply: RESPValue) {
        switch reply {
        case .null: self = .absent
        case .array(let elements):
            guard elements.count == 2, case .integer(let kind) = elements[0], (1...2).contains(kind),
                case .integer(let remaining) = elements[1]
            else { return nil }
            self = .first(provesAcceptance: kind == 2, remaining: .milliseconds(max(0, remaining)))
        case .string(var bytes):
            guard let received = bytes.readInteger(as: Int64.self), received > 0, bytes.readableBytes == 0 else {
                return nil
            }
            self = .again(at: received)
        case .integer, .error, .boolean, .push: return nil
        }
    }
}

extension KeyReport {
    /// What the reply to a report means; nil for what is no record of ours.
    init?(_ reply: RESPValue) {
        switch reply {
        case .null: self.init(.absent)
        case .array(let elements):
            guard elements.count == 2, case .string(let bytes) = elements[0],
                case .integer(let remaining) = elements[1],
                let record = RecordValue(bytes)
            else { return nil }
            self = record.report(remaining: remaining)
        case .string, .error, .integer, .boolean, .push: return nil
        }
    }
}
