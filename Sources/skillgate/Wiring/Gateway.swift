import Crypto
import GatewayAdmin
import GatewayCore
import GatewayRedis
import GatewayServer
import GatewayUpstream
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
import TokenEndpointClient

/// The whole gateway, put together: what each event loop has for itself, and what all of them share.
final class Gateway: Service {
    /// What belongs to one event loop.
    struct Loop: Sendable {
        var forwarder: NIOLoopBound<MessageForwarder>
        /// The same, for listeners.
        var handler: NIOLoopBound<any RequestHandler>
        var pools: ByRegion<NIOLoopBound<RegionalPool>>
        var sharedStore: NIOLoopBound<SharedStore>?
    }

    /// What another configuration changes.
    struct Current: Sendable {
        var configuration: GatewayConfiguration
        var roster: ReloadableState
        var listeners: [HTTPListener] = []
    }

    /// As it was at the start; what a reload cannot change is read from here.
    let configuration: GatewayConfiguration
    let current: Mutex<Current>
    private let logger: Logger
    let controlLoop: any EventLoop
    private let group: MultiThreadedEventLoopGroup
    private let records: IdempotencyRecords
    private let logs: LogFiles
    private let problems: ProblemLog
    private let acceptFailures: AcceptFailureLog
    let users = UserRegions()
    /// Unix time until which the client certificate for Redis is good; nil if there is none. It is read at the start only.
    private let redisCertificateExpiry: Int?
    let loops: [Loop]
    private let isDraining = Atomic<Bool>(false)
    private let onListening: @Sendable ([Int]) async -> Void
    let reloads = ReloadStatistics(now: UnixTime.now())

    /// - Parameters:
    ///   - controlLoop: runs the timers of the control plane.
    ///   - onListening: told the ports of the listeners once all are bound.
    init(
        _ configuration: GatewayConfiguration, controlLoop: any EventLoop, logger: Logger,
        onListening: @escaping @Sendable ([Int]) async -> Void = { _ in }
    ) async throws {
        self.configuration = configuration
        self.logger = logger
        self.controlLoop = controlLoop
        self.onListening = onListening
        problems = ProblemLog(logger)
        acceptFailures = AcceptFailureLog(logger)
        group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.eventLoops ?? System.coreCount)
        records = IdempotencyRecords(configuration.idempotency, logger: logger)
        redisCertificateExpiry = try configuration.idempotency.redis?.tls.flatMap { try RedisTLS($0).certificateExpiry }
        logs = try LogFiles(access: configuration.accessLogFile, audit: configuration.auditFile)
        var roster = ReloadableState()
        let endpoint = Self.tokenEndpoint(configuration)
        _ = roster.take(configuration.skills, users) {
            Self.tokenCache($0, endpoint, controlLoop, logger)
        }
        let forwarding = try Self.forwarding(configuration, &roster)
        records.local.share(among: configuration.callers.count)
        current = Mutex(Current(configuration: configuration, roster: roster))

        let trust = try UpstreamTrust(caFile: configuration.upstream.caFile)
        let failedAttempts = AuthenticationThrottle()
        let (records, logs, problems) = (records, logs, problems)
        let names = (callers: roster.callerNames, skills: roster.skillNames)
        var loops: [Loop] = []
        for (index, eventLoop) in group.makeIterator().enumerated() {
            let loop = try await eventLoop.submit {
                let pools = ByRegion { region in
                    let endpoint = configuration.endpoints[region]
                    return RegionalPool(
                        to: endpoint, proxy: configuration.upstream.proxy.forwardProxy(for: endpoint.host),
                        trust: trust,
                        configuration: configuration.upstream.region,
                        eventLoop: eventLoop,
                        onConnectFailure: { logger.debug("connection failed", metadata: ["error": "\($0)"]) },
                        onCircuitChange: { Self.log($0, region, eventLoop: index, logger) })
                }
                let shared = try records.connect(on: eventLoop, watches: index == 0)
                let forwarder = MessageForwarder(
                    forwarding, store: shared?.store ?? records.local, pools: ByRegion { pools[$0] },
                    fingerprintKeys: records.fingerprintKeys, eventLoop: eventLoop, failedAttempts: failedAttempts,
                    wallClock: { UnixTime.timestamp() },
                    logs: logs.logs(on: eventLoop, callerNames: names.callers, skillNames: names.skills),
                    onTrouble: { problems.report($0, $1) })
                return Loop(
                    forwarder: NIOLoopBound(forwarder, eventLoop: eventLoop),
                    handler: NIOLoopBound(forwarder, eventLoop: eventLoop),
                    pools: ByRegion { NIOLoopBound(pools[$0], eventLoop: eventLoop) },
                    sharedStore: shared.map { NIOLoopBound($0, eventLoop: eventLoop) })
            }.get()
            loops.append(loop)
        }
        self.loops = loops
    }

    /// Each event loop finds out by itself: its messages wait for no other.
    private static func log(
        _ circuit: CircuitState, _ region: Region, eventLoop: Int, _ logger: Logger
    ) {
        let metadata: Logger.Metadata = ["cloud.region": "\(region.name)", "gateway.event_loop": "\(eventLoop)"]
        if circuit == .closed {
            logger.notice("circuit closed", metadata: metadata)
        } else {
            logger.warning("circuit open: region not responding, no messages are sent to it", metadata: metadata)
        }
    }

    private static func tokenEndpoint(_ configuration: GatewayConfiguration) -> LoginWithAmazon {
        LoginWithAmazon(
            url: configuration.tokenEndpoint, userAgent: Build.userAgent, caFile: configuration.upstream.caFile,
            proxy: configuration.upstream.proxy.url(for: configuration.tokenEndpoint))
    }

    func tokenCache(_ skill: GatewayConfiguration.SkillConfiguration) -> TokenCache {
        Self.tokenCache(skill, Self.tokenEndpoint(configuration), controlLoop, logger)
    }

    private static func tokenCache(
        _ skill: GatewayConfiguration.SkillConfiguration, _ endpoint: LoginWithAmazon, _ controlLoop: any EventLoop,
        _ logger: Logger
    ) -> TokenCache {
        TokenCache(
            skill.credentials, endpoint: endpoint, eventLoop: controlLoop,
            firstGeneration: UInt64(UInt32.random(in: 0...UInt32.max)) << 32,
            onFailure: { failure in
                logger.warning(
                    "access token fetch failed",
                    metadata: [
                        "gateway.skill": "\(skill.name)", "error.type": "\(failure.reason.rawValue)",
                        "gateway.token.detail": "\(failure.detail)",
                    ])
            })
    }

    static func forwarding(
        _ configuration: GatewayConfiguration, _ roster: inout ReloadableState
    ) throws(RegionDirectory.Conflict) -> ForwardingConfiguration {
        let tokens = configuration.callerTokens
        let directory = CallerDirectory(
            roster.entries(configuration.callers), anonymousCaller: configuration.anonymousCaller,
            tokens: CallerTokens(
                signingSecrets: tokens?.signingSecrets ?? [],
                lifetimeSeconds: Int(tokens?.lifetime.components.seconds ?? 0)))
        var forwarding = ForwardingConfiguration(
            callers: directory, skills: roster.skills, regions: try configuration.regionDirectory(),
            endpoints: configuration.endpoints, userAgent: Build.userAgent)
        forwarding.limits = configuration.upstream.limits
        forwarding.retention = configuration.idempotency.retention
        forwarding.concurrentDuplicates = configuration.idempotency.concurrentDuplicates
        forwarding.discovery = configuration.discovery
        forwarding.strict5xx = configuration.upstream.strict5xx
        forwarding.acceptedPerLogLine = configuration.acceptedPerLogLine
        return forwarding
    }

    private var skills: [Skill] { current.withLock { $0.roster.skills } }
    var callerMessagesInFlight: [Int: (current: Int, maximum: Int)?] { current.withLock { $0.roster.messagesInFlight } }

    // MARK: Running

    /// Serves until told to shut down; then drains, and returns when the last message has been answered.
    func run() async throws {
        for skill in skills { skill.tokens.start() }
        let listeners = try await bind()
        current.withLock { $0.listeners = listeners }
        await onListening(listeners.compactMap(\.port))
        try? await gracefulShutdown()
        try await drain(listeners)
    }

    private func bind() async throws -> [HTTPListener] {
        var listeners: [HTTPListener] = []
        for var listener in configuration.listeners {
            limitConnections(of: &listener)
            let bound = try await HTTPListener.bind(
                listener, handlers: loops.map(\.handler),
                encoder: ResponseEncoder(endpoints: configuration.endpoints),
                group: group,
                onExhausted: { [acceptFailures] in acceptFailures.failed($0) })
            logger.notice(
                "listening", metadata: ["gateway.listener": "\(listener.address.bound(to: bound.port))"])
            listeners.append(bound)
        }
        return listeners
    }

    /// So many are enough for nearly everybody, whatever is configured.
    private static let fewConnections = 4096

    private func limitConnections(of listener: inout ListenerConfiguration) {
        let affordable = max(1, FileLimit.forCallers / configuration.listeners.count)
        guard affordable < listener.maximumConnections else { return }
        defer { listener.maximumConnections = affordable }
        guard affordable < Self.fewConnections else { return }
        logger.notice(
            "the open-file limit allows fewer connections than configured",
            metadata: [
                "gateway.connections.address": "\(listener.address)", "gateway.connections.allowed": "\(affordable)",
                "gateway.connections.configured": "\(listener.maximumConnections)",
            ])
    }

    private func drain(_ listeners: [HTTPListener]) async throws {
        isDraining.store(true, ordering: .relaxed)
        logger.notice("draining", metadata: ["gateway.drain.notice": "\(configuration.drain.notice)"])
        for listener in listeners { try await listener.startDraining() }
        try? await Task.sleep(for: configuration.drain.notice)
        if await finish(listeners) {
            logger.notice("drained: all messages answered")
        } else {
            logger.error("drain timeout exceeded: messages in flight abandoned")
        }
        for skill in skills { skill.tokens.stop() }
        try await closeUpstream()
        await closeStore()
        for loop in loops {
            try await loop.forwarder.eventLoop.submit { loop.forwarder.value.closeLogs() }.get()
        }
        try await logs.close()
    }

    /// Gives the shared store a moment to take what it has not confirmed yet.
    private func closeStore() async {
        let stores = loops.compactMap(\.sharedStore)
        let end = ContinuousClock.now + Self.longestSettling
        for shared in stores {
            while (try? await shared.eventLoop.submit({ shared.value.backlog }).get()) ?? 0 > 0,
                ContinuousClock.now < end
            {
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
        for shared in stores { try? await shared.eventLoop.submit { shared.value.shutDown() }.get() }
    }

    /// For what the store has not confirmed when the last message is answered, in all.
    private static let longestSettling = Duration.seconds(2)

    /// False if the drain timeout was exceeded before the last response.
    private func finish(_ listeners: [HTTPListener]) async -> Bool {
        let timeout = configuration.drain.timeout
        return await withTaskGroup(of: Bool.self) { tasks in
            tasks.addTask {
                // All at once: one that takes long must not go on accepting at the others.
                await withTaskGroup(of: Void.self) { finishes in
                    for listener in listeners { finishes.addTask { try? await listener.finish() } }
                }
                return true
            }
            tasks.addTask {
                do {
                    try await Task.sleep(for: timeout)
                } catch {
                    return true  // everything was answered before
                }
                // Whoever waits for Amazon is told that the outcome is unknown; then nobody is waited for.
                try? await self.closeUpstream()
                for listener in listeners { try? await listener.abort() }
                return false
            }
            let isFinished = await tasks.next() ?? true
            tasks.cancelAll()
            return isFinished
        }
    }

    private func closeUpstream() async throws {
        for loop in loops {
            for region in Region.allCases {
                let pool = loop.pools[region]
                try await pool.eventLoop.submit { pool.value.shutDown() }.get()
            }
        }
    }

    func shareRecords(among callers: Int) { records.local.share(among: callers) }

    /// Of the records that this process keeps itself.
    var evictionLog: EvictionLog {
        EvictionLog(store: records.local, retention: configuration.idempotency.retention, logger: logger)
    }

    // MARK: What the admin server shows

    func readiness(history: [TrafficHistory.Point]) async throws -> Readiness {
        readiness(try await regionStatuses(), try await sharedStore(), history)
    }

    /// As it follows from the state of the regions and of the shared store, and from the traffic of late.
    func readiness(
        _ regions: ByRegion<UpstreamStatus>, _ store: MetricsSnapshot.SharedStore?, _ history: [TrafficHistory.Point]
    ) -> Readiness {
        let now = NIODeadline.now()
        let states = skills.map { skill in
            let statistics = skill.tokens.statistics()
            let isValid = statistics.expires.map { $0 > now } ?? false
            return Readiness.SkillState(
                skill: skill.name, token: isValid ? "valid" : statistics.hasHadToken ? "expired" : "none",
                problem: isValid ? nil : statistics.lastFailure.map { "\($0.reason.rawValue), \($0.detail)" })
        }
        return Readiness(
            draining: isDraining.load(ordering: .relaxed), skills: states,
            regions: Region.allCases.map { .init(region: $0.name, circuit: "\(regions[$0].circuit)") },
            store: Readiness.StoreState(
                kind: (store == nil ? StoreKind.memory : .redis).rawValue, up: store?.isUp ?? true,
                problems: store?.problems ?? []),
            trouble: RegionTrouble.all(in: history), isReloadRefused: reloads.snapshot.isLastRefused)
    }

    private func regionStatuses() async throws -> ByRegion<UpstreamStatus> {
        var sum = ByRegion { _ in UpstreamStatus() }
        for loop in loops {
            let statuses = try await loop.forwarder.eventLoop.submit {
                ByRegion { loop.pools[$0].value.status }
            }.get()
            for region in Region.allCases { sum[region].add(statuses[region]) }
        }
        return sum
    }

    /// Nil where records are in memory.
    private func sharedStore() async throws -> MetricsSnapshot.SharedStore? {
        guard configuration.idempotency.redis != nil else { return nil }
        var sum = MetricsSnapshot.SharedStore(isUp: true)
        for loop in loops {
            guard let shared = loop.sharedStore else { continue }
            let (statistics, isUp) = try await shared.eventLoop.submit {
                (shared.value.store.statistics, shared.value.isUp)
            }.get()
            sum.statistics.add(statistics)
            if !isUp { sum.isUp = false }
        }
        let health = records.health.current
        sum.wipes = health.wipes
        sum.isHeld = health.isHeld
        sum.clockJumps = health.clockJumps
        sum.settings = RedisHealth.Setting.allCases.compactMap { setting in
            health.settings[setting].map { (setting.rawValue, $0) }
        }
        return sum
    }

    /// What all event loops have counted.
    func instruments() async throws -> ForwardingInstruments {
        var sum = ForwardingInstruments()
        for loop in loops {
            sum.add(try await loop.forwarder.eventLoop.submit { loop.forwarder.value.instruments }.get())
        }
        return sum
    }

    /// The newest first.
    var recentProblems: [StatusReport.Problem] { problems.recent }

    private var certificateExpiries: [(use: String, time: Int)] {
        let listeners = current.withLock { $0.listeners }.compactMap { $0.tls?.expiry }
        let expiries = [
            ("listener", listeners.map(\.certificate).min()),
            ("client-authorities", listeners.compactMap(\.authorities).min()), ("redis-client", redisCertificateExpiry),
        ]
        return expiries.compactMap { use, time in time.map { (use, $0) } }
    }

    func metrics() async throws -> MetricsSnapshot {
        let roster = current.withLock { $0.roster }
        var snapshot = MetricsSnapshot(
            callers: roster.callerNames, skills: roster.skillNames, build: Build.information)
        snapshot.forwarding = try await instruments()
        snapshot.upstream = try await regionStatuses()
        snapshot.users = users.statistics(now: .now())
        let now = NIODeadline.now()
        let unixTime = UnixTime.now()
        snapshot.tokens = roster.skills.map { skill in
            let statistics = skill.tokens.statistics()
            func wallClock(_ deadline: NIODeadline) -> Double { unixTime + Double((deadline - now).nanoseconds) * 1e-9 }
            return MetricsSnapshot.Token(
                skill: skill.name, statistics: statistics, expiresAt: statistics.expires.map(wallClock),
                fetchedAt: statistics.fetched.map(wallClock))
        }
        snapshot.sharedStore = try await sharedStore()
        snapshot.retention = configuration.idempotency.retention
        if records.keepsLocalRecords {
            snapshot.records = records.local.statistics(now: now)
            snapshot.recordsEvicted = records.local.evictedByCaller
        }
        snapshot.droppedLogLines = logs.droppedLines
        snapshot.connectionsTurnedAway = current.withLock { $0.listeners }.reduce(0) { $0 + $1.turnedAway }
        snapshot.reloads = reloads.snapshot
        snapshot.certificateExpiries = certificateExpiries
        snapshot.process = ProcessStatistics.current()
        return snapshot
    }
}
