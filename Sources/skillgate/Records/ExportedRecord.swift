import FoundationEssentials
import GatewayCore
import GatewayFiles
import GatewayRedis
import NIOCore

/// A record on its way from one store to another: a line of JSON.
struct ExportedRecord: Codable, Equatable {
    enum State: String, Codable { case sending, unknown, accepted }

    /// 64 hexadecimal digits.
    var scope: String
    /// 32 hexadecimal digits.
    var fingerprint: String
    var state: State = .unknown
    /// Unix time, in milliseconds.
    var expires: Int64
    /// Of one that is being sent.
    var leaseEnds: Int64?
    /// Of an accepted message.
    var status: Int?
    /// Nil where Amazon's answer is not known.
    var region: String?
    /// When the skill reported it first; Unix time in milliseconds.
    var receivedAt: Int64?
    var requestId: String?

    /// Nil for the entry of a record that is gone.
    init?(_ entry: RecordEntry) {
        scope = entry.scope.hexadecimal
        fingerprint = Self.hexadecimal([entry.fingerprint.words.0, entry.fingerprint.words.1])
        expires = entry.expires
        switch entry.state {
        case .absent: return nil
        case .unknown: state = .unknown
        case .sending(_, let leaseEnds, _):
            state = .sending
            self.leaseEnds = leaseEnds
        case .accepted(let response): take(response)
        }
    }

    /// Nil for a record that has ended meanwhile.
    init?(_ record: StoredRecord, unixNow: Int64) {
        guard let fingerprint = record.report.fingerprint else { return nil }
        scope = record.scope.hexadecimal
        self.fingerprint = Self.hexadecimal([fingerprint.words.0, fingerprint.words.1])
        expires = unixNow + Int64(record.timeToLive.inMilliseconds)
        switch record.report.state {
        case .absent: return nil
        case .unknown: state = .unknown
        case .inFlight(let left):
            state = .sending
            leaseEnds = unixNow + Int64(left.inMilliseconds)
        case .accepted(let response): take(response)
        }
    }

    private mutating func take(_ response: AcceptedResponse) {
        state = .accepted
        status = response.status
        region = response.region?.name
        receivedAt = response.receivedAt
        requestId = response.requestID.map { "\($0)" }
    }

    // MARK: Into another store

    /// What is wrong with its members; nil if nothing is.
    var mistake: String? {
        if Self.words(scope, count: 4) == nil { return "`scope` is not 64 hexadecimal digits" }
        if Self.words(fingerprint, count: 2) == nil { return "`fingerprint` is not 32 hexadecimal digits" }
        if expires > Self.latestExpiry {
            return "`expires` is later than any record's: expected Unix time in milliseconds"
        }
        guard state == .accepted else { return nil }
        if !(200...299).contains(status ?? 0) { return "`status` is not from 200 to 299" }
        if let region, Region(name: region) == nil { return "`region` is not `NA`, `EU` or `FE`" }
        return requestId.map { Self.requestID($0) == nil } ?? false
            ? "`requestId` is not 1 to 128 visible characters" : nil
    }

    /// The year 2100: what is beyond is written in another unit.
    private static let latestExpiry: Int64 = 4_102_444_800_000

    /// What makes the record again; nil for one that has expired.
    ///
    /// - Parameters:
    ///   - number: of the line; no two of a file have the same.
    ///   - caller: whose share it counts in.
    func claim(number: UInt64, origin: UInt64, caller: Int, unixNow: Int64) -> IdempotencyClaim? {
        guard let scope = Self.words(scope, count: 4), let fingerprint = Self.words(fingerprint, count: 2),
            case let left = min(expires.subtractingReportingOverflow(unixNow).partialValue, Self.longestRetention),
            left > 0
        else { return nil }
        let lease = max(1, min(left, (leaseEnds ?? unixNow).subtractingReportingOverflow(unixNow).partialValue))
        return IdempotencyClaim(
            scope: IdempotencyScope(words: (scope[0], scope[1], scope[2], scope[3])),
            fingerprint: RequestFingerprint(words: (fingerprint[0], fingerprint[1])),
            owner: AttemptID(origin: origin, number: number), lease: .milliseconds(lease),
            retention: .milliseconds(left), consent: false, caller: caller)
    }

    /// What becomes of that claim; nil: it stays as it is, and reads as unknown after its lease.
    var settlement: Settlement? {
        switch state {
        case .sending: return nil
        case .unknown: return .unknown
        case .accepted:
            return .accepted(
                AcceptedResponse(
                    status: status ?? 202, region: region.flatMap { Region(name: $0) },
                    requestID: requestId.flatMap(Self.requestID), receivedAt: receivedAt))
        }
    }

    /// In milliseconds.
    private static let longestRetention: Int64 = 31 * 86_400_000

    private static func requestID(_ text: String) -> RequestID? {
        let bytes = Array(text.utf8)
        return RequestID(bytes.span, 0..<bytes.count)
    }

    // MARK: Digits

    private static func hexadecimal(_ words: [UInt64]) -> String {
        words.map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    private static func words(_ text: String, count: Int) -> [UInt64]? {
        guard text.utf8.count == 16 * count, text.utf8.allSatisfy({ $0 < 0x80 }) else { return nil }
        let digits = Array(text)
        let words = (0..<count).compactMap { UInt64(String(digits[$0 * 16..<($0 + 1) * 16]), radix: 16) }
        return words.count == count ? words : nil
    }
}
