import GatewayAdmin
import GatewayCore
import Logging
import NIOCore
import Synchronization

/// Logs what goes wrong with messages, at most once a problem and region in a while: an outage is one story, not one
/// line a message. Metrics count every one. Remembers how each came up last, for the status page.
final class ProblemLog: Sendable {
    private struct Series: Hashable {
        var problem: Problem
        var region: Region?
    }

    private struct Entry {
        var quietUntil: NIODeadline
        var suppressed = 0
        var count = 0
        /// Unix time.
        var lastTime: Double
        var lastDetail: String
    }

    private static let pause = Duration.seconds(10)

    private let logger: Logger
    private let series = Mutex<[Series: Entry]>([:])

    init(_ logger: Logger) {
        self.logger = logger
    }

    func report(_ refusal: Refusal, _ region: Region?) {
        let now = NIODeadline.now()
        let unixTime = UnixTime.now()
        let suppressed: Int? = series.withLock { series in
            let key = Series(problem: refusal.problem, region: region)
            var entry = series[key] ?? Entry(quietUntil: now, lastTime: unixTime, lastDetail: "")
            entry.count += 1
            (entry.lastTime, entry.lastDetail) = (unixTime, refusal.detail)
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
            "a message was not forwarded",
            metadata: [
                "error.type": "\(refusal.problem.rawValue)", "cloud.region": "\(region?.name ?? "none")",
                "gateway.problem.detail": "\(refusal.detail)", "gateway.problem.suppressed": "\(suppressed)",
            ])
    }

    /// The newest first; as many as there are problems and regions at most.
    var recent: [StatusReport.Problem] {
        let entries = series.withLock { $0 }
        return entries.map { key, entry in
            StatusReport.Problem(
                time: entry.lastTime, problem: key.problem.rawValue, status: key.problem.row.status,
                region: key.region?.name,
                proxyStatus:
                    "skillgate; error=\(key.problem.row.proxyStatusError); details=\"\(key.problem.rawValue)\"",
                detail: entry.lastDetail, count: entry.count)
        }.sorted { $0.time > $1.time }
    }
}
