public import GatewayCore

/// What the admin server shows. Every request asks for it again.
public struct AdminSource: Sendable {
    public var metrics: @Sendable () async throws -> MetricsSnapshot
    public var readiness: @Sendable () async throws -> Readiness
    public var status: @Sendable () async throws -> StatusReport
    public var goneUsers: @Sendable () -> [UserRegions.GoneUser]
    public var build: MetricsSnapshot.Build

    public init(
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
