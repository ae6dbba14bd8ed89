import GatewayCore
import Logging
import NIOCore
import Synchronization

/// Logs what goes wrong with messages, at most once a problem and region in a while: an outage is one story, not one
/// line a message. Metrics count every one.
final class ProblemLog: Sendable {
    private struct Series: Hashable {
        var problem: Problem
        var region: Region?
    }

    private static let pause = Duration.seconds(10)

    private let logger: Logger
    private let series = Mutex<[Series: (quietUntil: NIODeadline, suppressed: Int)]>([:])

    init(_ logger: Logger) {
        self.logger = logger
    }

    func report(_ refusal: Refusal, _ region: Region?) {
        let now = NIODeadline.now()
        let suppressed: Int? = series.withLock { series in
            let key = Series(problem: refusal.problem, region: region)
            if let entry = series[key], entry.quietUntil > now {
                series[key] = (entry.quietUntil, entry.suppressed + 1)
                return nil
            }
            defer { series[key] = (now + Self.pause, 0) }
            return series[key]?.suppressed ?? 0
        }
        guard let suppressed else { return }
        logger.warning(
            "a message was not forwarded",
            metadata: [
                "error.type": "\(refusal.problem.rawValue)", "cloud.region": "\(region?.name ?? "none")",
                "gateway.problem.detail": "\(refusal.detail)", "gateway.problem.suppressed": "\(suppressed)",
            ])
    }
}
