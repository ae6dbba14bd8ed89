import GatewayCore
import GatewayEvents
import Logging
import NIOCore
import Synchronization

/// Logs that events are not delivered, and that they are again.
final class EventLog: Sendable {
    private enum Kind {
        case failure
        case recovery
        case loss
    }

    private let logger: Logger
    private let pace = Mutex(LogPace<Kind>())

    init(_ logger: Logger) {
        self.logger = logger
    }

    func report(_ notice: EventSender.Notice) {
        switch notice {
        case .failed(let detail):
            guard isDue(.failure) else { return }
            logger.warning("event delivery failed; it is retried", metadata: ["gateway.events.detail": "\(detail)"])
        case .delivered:
            guard isDue(.recovery) else { return }
            logger.notice("events are delivered again")
        case .displaced(let kind):
            guard isDue(.loss) else { return }
            logger.warning(
                "too many undelivered events: the oldest are lost",
                metadata: ["gateway.events.type": "\(kind.rawValue)"])
        case .undelivered(let count):
            logger.warning("shutting down with undelivered events", metadata: ["gateway.events.count": "\(count)"])
        }
    }

    private func isDue(_ kind: Kind) -> Bool { pace.withLock { $0.isDue(kind, now: .now()) } }
}
