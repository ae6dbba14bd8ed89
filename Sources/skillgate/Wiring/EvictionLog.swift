import GatewayCore
import Logging
import NIOCore
import ServiceLifecycle

/// Says once a minute, while it goes on, that a full store in memory forgets accepted messages before their time.
struct EvictionLog: Service {
    private static let pause = Duration.seconds(60)

    let store: MemoryIdempotencyStore
    let retention: Duration
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var evicted = 0
            // Ends with the sleep, which a shutdown cancels.
            while (try? await Task.sleep(for: Self.pause)) != nil {
                let statistics = store.statistics(now: .now())
                if statistics.evicted > evicted { report(statistics, before: evicted) }
                evicted = statistics.evicted
            }
        }
    }

    private func report(_ statistics: MemoryIdempotencyStore.Statistics, before evicted: Int) {
        logger.warning(
            "the idempotency store is full and forgets accepted messages early",
            metadata: [
                "gateway.idempotency.evicted": "\(statistics.evicted - evicted)",
                "gateway.idempotency.retention": "\(retention)",
                "gateway.idempotency.retention.kept":
                    "\(max(.zero, retention - (statistics.evictedEarlyBy ?? .zero)))",
            ])
    }
}
