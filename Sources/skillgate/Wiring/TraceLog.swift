import GatewayTraces
import Logging
import NIOCore
import Synchronization

/// Logs that traces are not exported, and that they are again.
final class TraceLog: Sendable {
    private enum Kind {
        case failure
        case recovery
        case rejection
        case loss
    }

    private let logger: Logger
    private let pace = Mutex(LogPace<Kind>())

    init(_ logger: Logger) {
        self.logger = logger
    }

    func report(_ notice: TraceExporter.Notice) {
        switch notice {
        case .failed(let detail):
            guard isDue(.failure) else { return }
            logger.warning("traces could not be exported", metadata: ["gateway.traces.detail": "\(detail)"])
        case .exported:
            guard isDue(.recovery) else { return }
            logger.notice("traces are exported again")
        case .rejected(let spans, let detail):
            guard isDue(.rejection) else { return }
            logger.warning(
                "the collector has taken an export, and complains of it",
                metadata: ["gateway.traces.spans": "\(spans)", "gateway.traces.detail": "\(detail)"])
        case .displaced:
            guard isDue(.loss) else { return }
            logger.warning("too many traces that have not been exported: the oldest are lost")
        }
    }

    private func isDue(_ kind: Kind) -> Bool { pace.withLock { $0.isDue(kind, now: .now()) } }
}
