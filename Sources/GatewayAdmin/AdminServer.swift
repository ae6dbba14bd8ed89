public import GatewayCore
public import Hummingbird
public import Logging
public import NIOCore

/// What the admin server shows. Each is asked for anew by every request.
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

/// Whether messages should be sent here, and why not.
public struct Readiness: ResponseEncodable, Sendable {
    public struct SkillState: Encodable, Sendable {
        public var skill: String
        /// `valid`, `none` (never had one) or `expired`.
        public var token: String

        public init(skill: String, token: String) {
            self.skill = skill
            self.token = token
        }
    }

    /// Of idempotency records. A store that cannot be reached does not make a gateway unready: messages without a key
    /// go on, and another replica would not reach it either.
    public struct StoreState: Encodable, Sendable {
        /// `memory` or `redis`.
        public var kind: String
        public var up: Bool

        public init(kind: String, up: Bool) {
            self.kind = kind
            self.up = up
        }
    }

    /// A region that does not answer does not make a gateway unready: the others go on.
    public struct RegionState: Encodable, Sendable {
        public var region: String
        /// `closed`, `halfOpen` or `open`.
        public var circuit: String

        public init(region: String, circuit: String) {
            self.region = region
            self.circuit = circuit
        }
    }

    public var ready: Bool
    public var draining: Bool
    public var skills: [SkillState]
    public var regions: [RegionState]
    public var store: StoreState

    public init(ready: Bool, draining: Bool, skills: [SkillState], regions: [RegionState], store: StoreState) {
        self.store = store
        self.regions = regions
        self.ready = ready
        self.draining = draining
        self.skills = skills
    }
}

/// The admin plane: the status page, metrics, probes, version. On a listener of its own, for the operator's network.
public enum AdminServer {
    struct Version: ResponseEncodable {
        var version: String
        var revision: String
        var swift: String
    }

    /// For whoever keeps the list of users: these may be deleted.
    struct GoneUsers: ResponseEncodable {
        struct User: Encodable {
            var userID: String
            var skill: String

            enum CodingKeys: String, CodingKey {
                case userID = "userId"
                case skill
            }
        }

        var users: [User]
    }

    /// - Parameter onListening: told the port once the listener is bound.
    public static func application(
        host: String, port: Int, source: AdminSource, eventLoopGroup: any EventLoopGroup, logger: Logger,
        onListening: @escaping @Sendable (Int) async -> Void = { _ in }
    ) -> some ApplicationProtocol {
        Application(
            router: router(source),
            configuration: .init(address: .hostname(host, port: port), serverName: nil),
            onServerRunning: { channel in await onListening(channel.localAddress?.port ?? port) },
            eventLoopGroupProvider: .shared(eventLoopGroup),
            logger: logger
        )
    }

    static func router(_ source: AdminSource) -> Router<BasicRequestContext> {
        let router = Router()
        router.get("metrics") { request, _ in
            let format = MetricsPage.Format(accept: request.headers[.accept])
            let page = try await source.metrics().render(format)
            return Response(
                status: .ok, headers: [.contentType: format.contentType],
                body: .init(byteBuffer: .init(string: page)))
        }
        router.get("livez") { _, _ in "alive\n" }
        router.get("readyz") { request, context in
            let readiness = try await source.readiness()
            var response = try readiness.response(from: request, context: context)
            response.status = readiness.ready ? .ok : .serviceUnavailable
            return response
        }
        router.get("version") { _, _ in
            Version(version: source.build.version, revision: source.build.revision, swift: source.build.swift)
        }
        router.get("api/gone-users") { _, _ in
            GoneUsers(users: source.goneUsers().map { .init(userID: $0.userID, skill: $0.skill) })
        }
        router.get("api/status") { _, _ in try await source.status() }
        StatusPage.add(to: router)
        return router
    }
}
