import Crypto
import GatewayCore
import GatewayRedis
import Logging
import NIOCore

/// The shared store of one event loop, and its connection.
final class SharedStore {
    let store: SharedIdempotencyStore
    private let server: RedisClient

    init(store: SharedIdempotencyStore, server: RedisClient) {
        self.store = store
        self.server = server
    }

    var isUp: Bool { server.isUp }
    var backlog: Int { store.statistics.backlog }
    func shutDown() { server.shutDown() }
}

/// Where the idempotency records of this process are, as the configuration says.
struct IdempotencyRecords: Sendable {
    private let configuration: GatewayConfiguration.Idempotency
    private let log: StoreLog
    /// The store itself, or what stands in for a shared one.
    let local: MemoryIdempotencyStore
    let fingerprintKeys: FingerprintKeys
    let health = RedisHealth()

    init(_ configuration: GatewayConfiguration.Idempotency, logger: Logger) {
        self.configuration = configuration
        log = StoreLog(logger)
        local = MemoryIdempotencyStore(configuration.memory)
        func key(_ secret: String) -> SymmetricKey { SymmetricKey(data: SHA256.hash(data: Array(secret.utf8))) }
        if let first = configuration.fingerprintKeys.first {
            fingerprintKeys = FingerprintKeys(key(first), others: configuration.fingerprintKeys.dropFirst().map(key))
        } else if configuration.redis == nil {
            fingerprintKeys = FingerprintKeys(SymmetricKey(size: .bits256))
        } else {
            // All replicas need the same one. Without a secret, fingerprints are keyed by the idempotency keys alone.
            fingerprintKeys = FingerprintKeys(key("skillgate fingerprint"))
            logger.notice("no `idempotency.fingerprintKey`: fingerprints are keyed only by the idempotency keys")
        }
    }

    /// Whether records are kept in this process, always or while the shared store cannot be reached.
    var keepsLocalRecords: Bool { configuration.redis == nil || configuration.onStoreUnavailable == .forward }

    /// Nil where records are in memory.
    ///
    /// - Parameter watches: whether this event loop looks at the server's settings for all.
    func connect(on eventLoop: any EventLoop, watches: Bool) throws -> SharedStore? {
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
        if watches { server.startWatching() }
        server.start()
        return SharedStore(store: store, server: server)
    }
}
