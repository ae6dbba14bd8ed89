import GatewayCore
import Synchronization

/// How reloading has gone, for metrics.
final class ReloadStatistics: Sendable {
    private let current: Mutex<MetricsSnapshot.Reloads>

    /// The configuration that the process started with counts as loaded, and not as a reload.
    init(now: Double) {
        current = Mutex(MetricsSnapshot.Reloads(lastSuccess: now))
    }

    var snapshot: MetricsSnapshot.Reloads { current.withLock { $0 } }

    func succeeded(now: Double) {
        current.withLock { reloads in
            reloads.succeeded += 1
            reloads.lastSuccess = now
            reloads.isLastRefused = false
        }
    }

    func failed() {
        current.withLock { reloads in
            reloads.failed += 1
            reloads.isLastRefused = true
        }
    }
}
