import GatewayCore
import NIOCore

/// What a record is in Redis: one string, which the scripts read, too (`RecordScripts`).
///
///     s  fingerprint (16)  owner (16)  remaining milliseconds at which the lease ends, in decimal
///     r  the same, for a resend: sent with consent after an attempt whose outcome is unknown
///     u  fingerprint (16)  status of the refused resend, three digits, where there was one
///     a  fingerprint (16)  status, three digits  region, one digit  request id
///     d  fingerprint (16)  when its skill reported it first (8, Unix time in ms)  the rest as in `a`
///
/// Where Amazon's answer is not known, `-` stands for the region. The request id is `u` and 16 bytes for a UUID, `t` and the text for anything else, and empty where there is none.
/// The one clock of a record is the server's, by the record's time to live: a lease has ended when less than so much
/// of it remains. Clocks of gateways play no part.
enum RecordValue: Equatable {
    case sending(RequestFingerprint, owner: AttemptID, leaseEndsAtRemaining: Int, isResend: Bool = false)
    case unknown(RequestFingerprint, refusedResend: Int? = nil)
    case accepted(RequestFingerprint, AcceptedResponse)

    var fingerprint: RequestFingerprint {
        switch self {
        case .sending(let fingerprint, _, _, _), .unknown(let fingerprint, _), .accepted(let fingerprint, _):
            fingerprint
        }
    }

    /// The record that `claim` makes.
    init(_ claim: IdempotencyClaim) {
        self = .sending(
            claim.fingerprint, owner: claim.owner,
            leaseEndsAtRemaining: max(0, (claim.retention - claim.lease).inMilliseconds))
    }

    func write(to buffer: inout ByteBuffer) {
        switch self {
        case .sending(let fingerprint, let owner, let leaseEnds, let isResend):
            buffer.writeStaticString(isResend ? "r" : "s")
            buffer.write(fingerprint)
            buffer.write(owner)
            buffer.writeDecimal(leaseEnds)
        case .unknown(let fingerprint, let refusedResend):
            buffer.writeStaticString("u")
            buffer.write(fingerprint)
            if let refusedResend { buffer.writeDecimal(min(999, max(100, refusedResend))) }
        case .accepted(let fingerprint, let answer):
            buffer.writeStaticString(answer.receivedAt == nil ? "a" : "d")
            buffer.write(fingerprint)
            if let receivedAt = answer.receivedAt { buffer.writeInteger(receivedAt) }
            buffer.writeDecimal(min(999, max(100, answer.status)))
            if let region = answer.region {
                buffer.writeDecimal(region.rawValue)
            } else {
                buffer.writeStaticString("-")
            }
            switch answer.requestID {
            case .uuid(let high, let low):
                buffer.writeStaticString("u")
                buffer.writeMultipleIntegers(high, low)
            case .text(let text):
                buffer.writeStaticString("t")
                buffer.writeString(text)
            case nil: break
            }
        }
    }

    /// Nil for what no gateway has written: whatever is in the store is read as if a stranger had put it there.
    init?(_ value: ByteBuffer) {
        var rest = value
        guard let state = rest.readInteger(as: UInt8.self), let fingerprint = rest.readFingerprint() else { return nil }
        switch state {
        case UInt8(ascii: "s"), UInt8(ascii: "r"):
            guard let owner = rest.readAttemptID() else { return nil }
            let digits = rest.readableBytesUInt8Span
            guard let leaseEnds = digits.decimal(0..<digits.count) else { return nil }
            self = .sending(
                fingerprint, owner: owner, leaseEndsAtRemaining: leaseEnds, isResend: state == UInt8(ascii: "r"))
        case UInt8(ascii: "u"):
            let digits = rest.readableBytesUInt8Span
            let status = digits.count == 3 ? digits.decimal(0..<3) : nil
            guard digits.isEmpty || (300...599).contains(status ?? 0) else { return nil }
            self = .unknown(fingerprint, refusedResend: status)
        case UInt8(ascii: "a"):
            guard let answer = rest.readAcceptedAnswer() else { return nil }
            self = .accepted(fingerprint, answer)
        case UInt8(ascii: "d"):
            guard let receivedAt = rest.readInteger(as: Int64.self), receivedAt > 0,
                var answer = rest.readAcceptedAnswer()
            else {
                return nil
            }
            answer.receivedAt = receivedAt
            self = .accepted(fingerprint, answer)
        default:
            return nil
        }
    }

    func isDoubtful(remaining: Int) -> Bool { report(remaining: remaining).state == .unknown }

    /// What the record says with `remaining` milliseconds of its time to live.
    func report(remaining: Int) -> KeyReport {
        var report = report(leaseAt: remaining)
        report.remaining = remaining < 0 ? nil : .milliseconds(remaining)
        return report
    }

    private func report(leaseAt remaining: Int) -> KeyReport {
        switch self {
        case .sending(let fingerprint, _, let leaseEnds, _) where remaining > leaseEnds:
            KeyReport(.inFlight(left: .milliseconds(remaining - leaseEnds)), fingerprint)
        case .sending(let fingerprint, _, _, _): KeyReport(.unknown, fingerprint)
        case .unknown(let fingerprint, let refusedResend):
            KeyReport(.unknown, fingerprint, refusedResend: refusedResend)
        case .accepted(let fingerprint, let answer): KeyReport(.accepted(answer), fingerprint)
        }
    }
}

extension ByteBuffer {
    mutating func write(_ fingerprint: RequestFingerprint) {
        writeMultipleIntegers(fingerprint.words.0, fingerprint.words.1)
    }

    mutating func write(_ owner: AttemptID) {
        writeMultipleIntegers(owner.origin, owner.number)
    }

    fileprivate mutating func readFingerprint() -> RequestFingerprint? {
        readMultipleIntegers(as: (UInt64, UInt64).self).map(RequestFingerprint.init(words:))
    }

    fileprivate mutating func readAttemptID() -> AttemptID? {
        readMultipleIntegers(as: (UInt64, UInt64).self).map { AttemptID(origin: $0, number: $1) }
    }

    fileprivate mutating func readAcceptedAnswer() -> AcceptedResponse? {
        guard let digits = readSlice(length: 4) else { return nil }
        let bytes = digits.readableBytesUInt8Span
        let region = bytes.decimal(3..<4).flatMap { Region(rawValue: $0) }
        guard let status = bytes.decimal(0..<3), (200...299).contains(status),
            region != nil || bytes[3] == UInt8(ascii: "-")
        else { return nil }
        var answer = AcceptedResponse(status: status, region: region, requestID: nil)
        switch readInteger(as: UInt8.self) {
        case UInt8(ascii: "u"):
            guard let (high, low) = readMultipleIntegers(as: (UInt64, UInt64).self), readableBytes == 0 else {
                return nil
            }
            answer.requestID = .uuid(high, low)
        case UInt8(ascii: "t"):
            // It becomes a field of an answer.
            let text = readableBytesUInt8Span
            guard let requestID = RequestID(text, 0..<text.count) else { return nil }
            answer.requestID = requestID
        case nil: break
        default: return nil
        }
        return answer
    }
}

extension TimeAmount {
    /// Whole milliseconds, rounded down.
    var inMilliseconds: Int { Int(clamping: nanoseconds / 1_000_000) }
}

extension Duration {
    /// Whole milliseconds, rounded down.
    package var inMilliseconds: Int {
        Int(clamping: components.seconds) * 1000 + Int(components.attoseconds / 1_000_000_000_000_000)
    }
}
