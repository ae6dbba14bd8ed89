import GatewayAdmin
import GatewayCore
import NIOCore
import ServiceLifecycle
import Synchronization

extension AdminSource {
    init(_ gateway: Gateway, _ sampler: StatusSampler) {
        self.init(
            metrics: { try await sampler.metrics() }, readiness: { try await sampler.readiness() },
            status: { try await sampler.report() }, goneUsers: { gateway.users.goneUsers(now: .now()) },
            build: Build.information)
    }
}

/// Looks at the counters every now and then, so that the status page has minutes to show when it is opened.
final class StatusSampler: Service {
    private static let interval = Duration.seconds(2)
    private static let pointsKept = 150

    private let gateway: Gateway
    private let traffic = Mutex((history: TrafficHistory(limit: StatusSampler.pointsKept), recent: RecentTraffic()))

    init(_ gateway: Gateway) {
        self.gateway = gateway
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                if let instruments = try? await self.gateway.instruments() {
                    let now = UnixTime.now()
                    self.traffic.withLock { traffic in
                        traffic.history.add(instruments, time: now)
                        traffic.recent.add(instruments, time: now)
                    }
                }
                try? await Task.sleep(for: Self.interval)
            }
        }
    }

    func metrics() async throws -> MetricsSnapshot {
        var snapshot = try await gateway.metrics()
        let points = traffic.withLock { $0.history.points }
        let state = gateway.readiness(snapshot.upstream, snapshot.sharedStore, points).state
        snapshot.states = Readiness.State.allCases.map { ($0.rawValue, $0 == state) }
        return snapshot
    }

    func readiness() async throws -> Readiness {
        try await gateway.readiness(history: traffic.withLock { $0.history.points })
    }

    func report() async throws -> StatusReport {
        let (history, recent) = traffic.withLock { ($0.history.points, $0.recent) }
        return try await gateway.status(history: history, recent: recent)
    }
}
