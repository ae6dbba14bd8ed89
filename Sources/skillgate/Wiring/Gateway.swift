import Crypto
import GatewayAdmin
import GatewayCore
import GatewayFiles
import GatewayRedis
import GatewayServer
import GatewayUpstream
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
import TokenEndpointClient
import TransportSecurity

/// Wires up the gateway: what each event loop owns, and what all of them share.
final class Gateway: Service {
    /// What belongs to one event loop.
    struct Loop: Sendable {
        var forwarder: NIOLoopBound<MessageForwarder>
        /// The same, for listeners.
        var handler: NIOLoopBound<any RequestHandler>
        var pools: ByRegion<NIOLoopBound<RegionalPool>>
        /// Nil where records are in memory.
        var store: NIOLoopBound<LoopStore>?
    }

    /// Calls `body` on each event loop in turn, and collects the results.
    @discardableResult
    func onEachLoop<Value: Sendable>(_ body: @escaping @Sendable (Loop) throws -> Value) async throws -> [Value] {
        var values: [Value] = []
        for loop in loops { values.append(try await loop.forwarder.eventLoop.submit { try body(loop) }.get()) }
        return values
    }

    /// What a reload replaces.
    struct Current: Sendable {
        var configuration: GatewayConfiguration
        var reloadable: ReloadableState
        var listeners: [HTTPListener] = []
        /// The admin listener's; nil where it speaks no TLS, or is not bound yet.
        var adminTLS: ListenerTLS?
    }

    /// The configuration at the start; read from here only what a reload cannot change.
    let configuration: GatewayConfiguration
    let current: Mutex<Current>
    let logger: Logger
    let controlLoop: any EventLoop
    let group: MultiThreadedEventLoopGroup
    let records: IdempotencyRecords
    // Nil without a store that all replicas share.
    let sharedStoreClients: SharedStoreClients?
    let sharedRates: SharedRates?
    let quotas: SkillQuotas
    let events: EventReporter
    let traces: TraceReporter
    let logs: LogFiles
    let problems: ProblemLog
    let listenerLog: ListenerLog
    let users: UserRegions
    /// That of a file store.
    let folder: LockedFolder?
    /// Nil where nothing outlives the process.
    let userMemory: UserMemory?
    /// When the client certificate for Redis expires, in Unix time; nil if there is none. Not reloaded.
    let redisCertificateExpiry: Int?
    let loops: [Loop]
    let isDraining = Atomic<Bool>(false)
    let pauses = Pauses()
    let adminAccess: AdminAccess
    /// What operators do; nil where no audit log is kept.
    let operatorLog: NIOLoopBound<AuditLog>?
    let inheritedSockets: InheritedSockets
    let serviceManager: ServiceManager
    let onListening: @Sendable ([Int]) async -> Void
    let reloads = ReloadStatistics(now: UnixTime.now())

    /// - Parameters:
    ///   - controlLoop: runs the timers of the control plane.
    ///   - environment: of this process.
    ///   - onListening: told the ports of the listeners once all are bound.
    init(
        _ configuration: GatewayConfiguration, controlLoop: any EventLoop, logger: Logger,
        environment: [String: String] = Environment.variables(),
        onListening: @escaping @Sendable ([Int]) async -> Void = { _ in }
    ) async throws {
        self.configuration = configuration
        self.logger = logger
        self.controlLoop = controlLoop
        self.onListening = onListening
        inheritedSockets = InheritedSockets(environment: environment)
        serviceManager = ServiceManager(environment: environment)
        problems = ProblemLog(logger)
        listenerLog = ListenerLog(logger)
        adminAccess = AdminAccess(
            openTo: configuration.adminOpenTo, operators: configuration.adminAccess.operators,
            onRefused: { [listenerLog] in listenerLog.refusedOperator(from: $0) })
        let eventLoops = configuration.eventLoops ?? System.coreCount
        group = MultiThreadedEventLoopGroup(numberOfThreads: eventLoops)
        redisCertificateExpiry = try configuration.idempotency.redis?.tls.flatMap {
            try ClientTLS($0).certificateExpiry
        }
        logs = try LogFiles(access: configuration.accessLogFile, audit: configuration.auditFile)
        folder = try await LockedFolder.take(for: configuration.idempotency, logger)
        userMemory = folder.map { UserMemory(in: $0, logger) }
        let shared = try await SharedStoreClients.on(controlLoop, configuration.idempotency, logger)
        if configuration.sharesUsers || configuration.sharesRates || configuration.traces != nil { shared?.start() }
        sharedStoreClients = shared
        users = UserRegions(
            earlier: await userMemory?.read(),
            shared: configuration.sharesUsers ? shared.map { ($0.users, $0.userKey) } : nil)
        quotas = SkillQuotas(board: shared?.quotas, timers: controlLoop)
        let events = EventReporter(controlLoop: controlLoop, logger)
        self.events = events
        let traces = TraceReporter(controlLoop: controlLoop, shared?.traces, logger)
        self.traces = traces
        traces.use(configuration)
        var reloadable = ReloadableState(quotas)
        let endpoint = Self.tokenEndpoint(configuration)
        _ = reloadable.take(configuration, users) {
            Self.tokenCache($0, endpoint, events, controlLoop, logger)
        }
        events.use(configuration, reloadable.skills)
        _ = try await reloadable.issuers.take(configuration, controlLoop: controlLoop, logger)
        sharedRates = shared.map { SharedRates(client: $0.permits, timers: controlLoop) }
        reloadable.sharedRates = sharedRates
        let forwarding = try Self.forwarding(configuration, &reloadable)
        records = try await IdempotencyRecords(
            configuration, in: folder, callers: configuration.recordIDs(of: reloadable.callerNames),
            eventLoops: eventLoops, controlLoop: controlLoop, logger: logger)
        userMemory?.keep(users, controlLoop: controlLoop)
        current = Mutex(Current(configuration: configuration, reloadable: reloadable))

        let tls = try ClientTLS(
            caFile: configuration.upstream.caFile,
            applicationProtocols: configuration.upstream.region.http2.applicationProtocols)
        let (failedAttempts, receiptRate) = (NetworkThrottle.ofFailedAttempts(), NetworkThrottle.ofReceipts())
        let webTokens = SharedWebTokens()
        let (records, logs, problems, pauses) = (records, logs, problems, pauses)
        operatorLog = try await controlLoop.submit {
            logs.logs(on: controlLoop, callerNames: [], skillNames: []).audit.map {
                NIOLoopBound($0, eventLoop: controlLoop)
            }
        }.get()
        let names = (callers: reloadable.callerNames, skills: reloadable.skillNames)
        var loops: [Loop] = []
        for (index, eventLoop) in group.makeIterator().enumerated() {
            let loop = try await eventLoop.submit {
                // What messages are written to, and what is written to those connections then, is done in one go.
                let writes = EndOfTickQueue(on: eventLoop)
                let pools = ByRegion { region in
                    let endpoint = configuration.endpoints[region]
                    return RegionalPool(
                        to: endpoint, proxy: configuration.upstream.proxy.forwardProxy(for: endpoint.host),
                        tls: tls, userAgent: Build.userAgent, configuration: configuration.upstream.region,
                        eventLoop: eventLoop, writes: writes,
                        onConnectFailure: { logger.debug("connection failed", metadata: ["error": "\($0)"]) },
                        onCircuitChange: { circuit in
                            Self.log(circuit, region, eventLoop: index, logger)
                            events.circuitChanged(circuit, region, eventLoop: index)
                        })
                }
                let store = try records.connect(on: eventLoop, number: index)
                let forwarder = MessageForwarder(
                    forwarding, store: store?.store ?? records.local, pools: ByRegion { pools[$0] },
                    fingerprintKeys: records.fingerprintKeys, eventLoop: eventLoop, sends: writes,
                    failedAttempts: failedAttempts,
                    receiptRate: receiptRate, webTokens: webTokens, pauses: pauses,
                    wallClock: { UnixTime.timestamp() },
                    logs: logs.logs(on: eventLoop, callerNames: names.callers, skillNames: names.skills),
                    traces: TraceRecorder(
                        callerNames: names.callers, skillNames: names.skills, eventLoop: eventLoop,
                        references: traces.references, wallClock: { UnixTime.timestamp() },
                        sink: { traces.export($0) }),
                    onTrouble: { problems.report($0, $1) }, onEvent: { events.report($0) })
                return Loop(
                    forwarder: NIOLoopBound(forwarder, eventLoop: eventLoop),
                    handler: NIOLoopBound(forwarder, eventLoop: eventLoop),
                    pools: ByRegion { NIOLoopBound(pools[$0], eventLoop: eventLoop) },
                    store: store.map { NIOLoopBound($0, eventLoop: eventLoop) })
            }.get()
            loops.append(loop)
        }
        self.loops = loops
    }

    var skills: [Skill] { current.withLock { $0.reloadable.skills } }
    var callerMessagesInFlight: [Int: (current: Int, maximum: Int)?] {
        current.withLock { $0.reloadable.messagesInFlight }
    }

    /// - Parameter callerNames: by label.
    func shareRecords(among callers: Int, callerNames: [String], _ configuration: GatewayConfiguration) async {
        records.local.share(among: callers)
        let ids = configuration.recordIDs(of: callerNames)
        records.folder?.files.use(callers: ids)
        _ = try? await onEachLoop { $0.store?.value.use(callers: ids) }
    }

    /// Logs evictions from the in-memory records of this process.
    var evictionLog: EvictionLog {
        EvictionLog(store: records.local, retention: configuration.idempotency.retention, logger: logger)
    }
}
