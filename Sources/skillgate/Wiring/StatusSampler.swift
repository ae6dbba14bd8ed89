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
    private let history = Mutex(TrafficHistory(limit: StatusSampler.pointsKept))

    init(_ gateway: Gateway) {
        self.gateway = gateway
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                if let instruments = try? await self.gateway.instruments() {
                    self.history.withLock { $0.add(instruments, time: UnixTime.now()) }
                }
                try? await Task.sleep(for: Self.interval)
            }
        }
    }

    func metrics() async throws -> MetricsSnapshot {
        var snapshot = try await gateway.metrics()
        let points = history.withLock { $0.points }
        let state = gateway.readiness(snapshot.upstream, snapshot.sharedStore, points).state
        snapshot.states = Readiness.State.allCases.map { ($0.rawValue, $0 == state) }
        return snapshot
    }

    func readiness() async throws -> Readiness {
        try await gateway.readiness(history: history.withLock { $0.points })
    }

    func report() async throws -> StatusReport {
        try await gateway.status(history: history.withLock { $0.points })
    }
}
