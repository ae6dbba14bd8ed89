import Crypto
import GatewayCore
import GatewayFiles
import GatewayRedis
import Logging
import NIOCore
import NIOPosix

/// Where the idempotency records of this process are, as the configuration says.
struct IdempotencyRecords: Sendable {
    private let configuration: GatewayConfiguration.Idempotency
    private let log: StoreLog
    /// The store itself, what a file store knows, or what stands in for a shared one.
    let local: MemoryIdempotencyStore
    let fingerprintKeys: FingerprintKeys
    let health = RedisHealth()
    let folder: RecordFolder?

    /// - Parameters:
    ///   - lockedFolder: that of a file store.
    ///   - callers: their ids, by label.
    ///   - eventLoops: that use them.
    ///   - controlLoop: runs the timers of the control plane.
    init(
        _ whole: GatewayConfiguration, in lockedFolder: LockedFolder?, callers: [String], eventLoops: Int,
        controlLoop: any EventLoop, logger: Logger
    ) async throws {
        let configuration = whole.idempotency
        self.configuration = configuration
        log = StoreLog(logger)
        local = MemoryIdempotencyStore(
            configuration.memory, eventLoops: eventLoops, numbersChanges: configuration.kind == .file)
        local.share(among: whole.callers.count)
        fingerprintKeys = Self.fingerprintKeys(configuration, logger)
        if let lockedFolder {
            folder = try await RecordFolder(
                lockedFolder, configuration.file, local, callers: callers,
                longestLease: whole.upstream.limits.lease, controlLoop: controlLoop, logger: logger)
        } else {
            folder = nil
        }
        if configuration.kind == .memory {
            logger.notice("idempotency records are in memory: a restart forgets them, and retries are sent again")
        }
    }

    private static func fingerprintKeys(
        _ configuration: GatewayConfiguration.Idempotency, _ logger: Logger
    ) -> FingerprintKeys {
        func key(_ secret: String) -> SymmetricKey { SymmetricKey(data: SHA256.hash(data: Array(secret.utf8))) }
        if let first = configuration.fingerprintKeys.first {
            return FingerprintKeys(key(first), others: configuration.fingerprintKeys.dropFirst().map(key))
        }
        guard configuration.kind != .memory else { return FingerprintKeys(SymmetricKey(size: .bits256)) }
        // All replicas, and all processes that come later, need the same one. Without a secret, fingerprints are keyed by the
        // idempotency keys alone.
        logger.notice("no `idempotency.fingerprintKey`: fingerprints are keyed only by the idempotency keys")
        return FingerprintKeys(key("skillgate fingerprint"))
    }

    var kind: StoreKind { configuration.kind }

    /// Whether records are kept in this process's memory, always or while the shared store cannot be reached.
    var keepsLocalRecords: Bool { kind != .redis || configuration.onStoreUnavailable == .forward }

    /// Nil where records are in memory.
    ///
    /// - Parameter number: that of the event loop, counted from 0. The first looks at a server's settings for all.
    func connect(on eventLoop: any EventLoop, number: Int) throws -> LoopStore? {
        if let folder { return .file(folder.store(on: eventLoop, number: number, log)) }
        guard let redis = configuration.redis else { return nil }
        let log = log
        let server = try RedisClient(
            redis, clientName: "skillgate", eventLoop: eventLoop, health: health,
            unixMilliseconds: UnixTime.milliseconds, onEvent: { log.report($0) })
        let whenUnavailable: SharedIdempotencyStore.WhenUnavailable =
            switch configuration.onStoreUnavailable {
            case .refuse: .refuse
            case .forward: .forward(local)
            }
        let store = SharedIdempotencyStore(
            .redis, on: server, whenUnavailable: whenUnavailable, eventLoop: eventLoop)
        if number == 0 { server.startWatching() }
        server.start()
        return .redis(store, server)
    }
}
