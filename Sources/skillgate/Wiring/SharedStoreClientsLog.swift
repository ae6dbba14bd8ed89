import GatewayRedis
import Logging
import NIOCore
import Synchronization

/// Logs why replicas cannot share rates and users, and that they can again.
final class SharedStoreClientsLog: Sendable {
    private struct State {
        var isAway = false
        var pace = LogPace<String>()
    }

    private let logger: Logger
    private let state = Mutex(State())

    init(_ logger: Logger) {
        self.logger = logger
    }

    func report(_ event: RedisClient.Event) {
        switch event {
        case .available:
            let wasAway = state.withLock { state in
                defer { state.isAway = false }
                return state.isAway
            }
            if wasAway { logger.notice("rates, users and throttled skills can be shared with other replicas again") }
        case .lost(let reason):
            state.withLock { $0.isAway = true }
            warn("lost", reason)
        case .refused(let text): warn("refused", text)
        case .unsafe, .wiped, .notAdopted, .adopted, .clockJumped: break
        }
    }

    private func warn(_ series: String, _ reason: String) {
        let now = NIODeadline.now()
        guard state.withLock({ $0.pace.isDue(series, now: now) }) else { return }
        logger.warning(
            "rates, users or throttled skills are not shared with other replicas: this one goes by its share, and by what it knows itself",
            metadata: ["gateway.store.detail": "\(reason)"])
    }
}
