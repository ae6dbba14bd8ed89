import GatewayAdmin
import GatewayCore
import Logging
import NIOCore
import Synchronization

/// Logs what goes wrong with messages, at most one line per kind of trouble and region every 10 s: an outage must not write one
/// line per message. Metrics count every one. Remembers how each came up last, for the status page.
final class ProblemLog: Sendable {
    private struct Series: Hashable {
        /// As in `skillgate_rejected_total{reason}`, or the status that Amazon gave.
        var kind: String
        var region: Region?
    }

    private struct Entry {
        var quietUntil: NIODeadline
        var suppressed = 0
        var count = 0
        /// Unix time.
        var lastTime: Double
        var last: Trouble
    }

    private static let pause = Duration.seconds(10)

    private let logger: Logger
    private let series = Mutex<[Series: Entry]>([:])

    init(_ logger: Logger) {
        self.logger = logger
    }

    func report(_ trouble: Trouble, _ region: Region?) {
        let now = NIODeadline.now()
        let unixTime = UnixTime.now()
        let suppressed: Int? = series.withLock { series in
            let key = Series(kind: trouble.kind, region: region)
            var entry = series[key] ?? Entry(quietUntil: now, lastTime: unixTime, last: trouble)
            entry.count += 1
            (entry.lastTime, entry.last) = (unixTime, trouble)
            defer { series[key] = entry }
            guard now >= entry.quietUntil else {
                entry.suppressed += 1
                return nil
            }
            defer { (entry.quietUntil, entry.suppressed) = (now + Self.pause, 0) }
            return entry.suppressed
        }
        guard let suppressed else { return }
        logger.warning(
            trouble.message,
            metadata: [
                "error.type": "\(trouble.kind)", "cloud.region": "\(region?.name ?? "none")",
                "gateway.problem.detail": "\(trouble.detail)", "gateway.problem.suppressed": "\(suppressed)",
            ])
    }

    /// The newest first; as many as there are kinds of trouble and regions at most.
    var recent: [StatusReport.Problem] {
        let entries = series.withLock { $0 }
        return entries.map { key, entry in
            StatusReport.Problem(
                time: entry.lastTime, problem: key.kind, status: entry.last.status, region: key.region?.name,
                proxyStatus: entry.last.proxyStatus, detail: entry.last.detail, count: entry.count)
        }.sorted { $0.time > $1.time }
    }
}

extension Trouble {
    /// The names of `error.type`: a problem, or a status (OpenTelemetry semantic conventions, HTTP).
    fileprivate var kind: String {
        switch self {
        case .refusal(let refusal): refusal.problem.rawValue
        case .answer(let status): "\(status)"
        }
    }

    fileprivate var message: Logger.Message {
        switch self {
        case .refusal where isOutcomeUnknown: "a message was sent, but its outcome is unknown"
        case .refusal: "a message was not sent"
        case .answer: "Amazon did not accept a message"
        }
    }

    fileprivate var status: Int {
        switch self {
        case .refusal(let refusal): refusal.problem.row.status
        case .answer(let status): status
        }
    }

    fileprivate var detail: String {
        switch self {
        case .refusal(let refusal): refusal.detail
        case .answer(403): "an apparently valid token was refused: wrong skill, wrong region or missing scope"
        case .answer(429): "too many messages are being sent for this skill"
        case .answer: "the region returned a server error"
        }
    }

    /// As in the answers, without the hop.
    fileprivate var proxyStatus: String {
        switch self {
        case .refusal(let refusal):
            "skillgate; error=\(refusal.problem.row.proxyStatusError); details=\"\(refusal.problem.rawValue)\""
        case .answer(let status): "skillgate; received-status=\(status)"
        }
    }
}
