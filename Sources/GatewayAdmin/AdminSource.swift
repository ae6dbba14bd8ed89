package import GatewayCore

/// What the admin server shows. Every request asks for it again.
package struct AdminSource: Sendable {
    package var metrics: @Sendable () async throws -> MetricsSnapshot
    package var readiness: @Sendable () async throws -> Readiness
    package var status: @Sendable () async throws -> StatusReport
    package var goneUsers: @Sendable () -> [UserRegions.GoneUser]
    package var build: MetricsSnapshot.Build

    package init(
        metrics: @escaping @Sendable () async throws -> MetricsSnapshot,
        readiness: @escaping @Sendable () async throws -> Readiness,
        status: @escaping @Sendable () async throws -> StatusReport,
        goneUsers: @escaping @Sendable () -> [UserRegions.GoneUser], build: MetricsSnapshot.Build
    ) {
        self.status = status
        self.goneUsers = goneUsers
        self.metrics = metrics
        self.readiness = readiness
        self.build = build
    }
}
