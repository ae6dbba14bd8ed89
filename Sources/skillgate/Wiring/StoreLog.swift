import GatewayCore
import GatewayFiles
import GatewayRedis
import Logging
import NIOCore
import Synchronization

/// Logs what becomes of the shared store: each change once, however many event loops notice it.
final class StoreLog: Sendable {
    private struct State {
        var isDown = false
        /// For lines that a lasting fault would repeat with every message.
        var pace = LogPace<String>()
    }

    private let logger: Logger
    private let state = Mutex(State())

    init(_ logger: Logger) {
        self.logger = logger
    }

    /// - Parameter trouble: why nothing can be written to the files; nil: it can be again.
    func report(_ trouble: DiskError?) {
        if let trouble { isLost(trouble.description) } else { isAvailable() }
    }

    private func isAvailable() {
        let wasDown = state.withLock { state in
            defer { state.isDown = false }
            return state.isDown
        }
        if wasDown { logger.notice("the idempotency store can be reached again") }
    }

    private func isLost(_ reason: String) {
        let isNews = state.withLock { state in
            defer { state.isDown = true }
            return !state.isDown
        }
        guard isNews || isDue("lost") else { return }
        logger.warning("the idempotency store cannot be reached", metadata: ["gateway.store.detail": "\(reason)"])
    }

    func report(_ event: RedisClient.Event) {
        switch event {
        case .available: isAvailable()
        case .lost(let reason): isLost(reason)
        case .refused(let text):
            guard isDue("refused") else { return }
            logger.warning("the idempotency store refused a command", metadata: ["gateway.store.detail": "\(text)"])
        case .unsafe(let setting, let value):
            logger.warning(
                "a setting of the idempotency store's server can lose records",
                metadata: ["gateway.store.setting": "\(setting.rawValue)", "gateway.store.value": "\(value)"])
        case .wiped:
            logger.error(
                "the idempotency store has lost its records: messages sent earlier are no longer recognized")
        case .notAdopted:
            guard isDue("not adopted") else { return }
            logger.error(
                """
                the idempotency store does not confirm that its records are intact: nothing is sent under new keys; \
                on a first start, run `skillgate records adopt`
                """)
        case .adopted:
            guard isDue("adopted") else { return }
            logger.notice("the idempotency store is in use again")
        case .clockJumped(let jump):
            guard isDue("clock") else { return }
            logger.error(
                "the clock of the idempotency store's server jumped: leases and retention are off by the same amount",
                metadata: ["gateway.store.jump_s": "\(jump / .seconds(1))"])
        }
    }

    private func isDue(_ series: String) -> Bool {
        let now = NIODeadline.now()
        return state.withLock { $0.pace.isDue(series, now: now) }
    }
}
