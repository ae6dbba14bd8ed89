import Crypto
import GatewayCore
import GatewayRedis
import Logging
import NIOCore

/// Asks Redis for what replicas share besides records, on one connection of this process.
struct SharedStoreClients: Sendable {
    private let redis: NIOLoopBound<RedisClient>
    let permits: RedisPermitClient
    let users: RedisSharedUserClient
    let quotas: RedisQuotaBoard
    let traces: RedisTraceReferences
    /// What users are hashed with, the same on all replicas.
    let userKey: SymmetricKey

    /// Nil without a store that replicas share. Connects when something is asked for, if it was not started before.
    static func on(
        _ controlLoop: any EventLoop, _ configuration: GatewayConfiguration.Idempotency, _ logger: Logger
    ) async throws -> SharedStoreClients? {
        guard let redis = configuration.redis else { return nil }
        let log = SharedStoreClientsLog(logger)
        // Without a secret, as for fingerprints, whoever reads the store can test guesses.
        let secret = configuration.fingerprintKeys.first ?? ""
        let key = SymmetricKey(data: SHA256.hash(data: Array("skillgate users \(secret)".utf8)))
        return try await controlLoop.submit {
            let client = try RedisClient(
                redis, clientName: "skillgate-shared", eventLoop: controlLoop, vouches: false,
                unixMilliseconds: UnixTime.milliseconds, onEvent: { log.report($0) })
            let replica = String(UInt64.random(in: .min ... .max), radix: 36)
            let permits = RedisPermitClient(client, replica: replica)
            let quotas = RedisQuotaBoard(client, replica: replica)
            let users = RedisSharedUserClient(client, unixMilliseconds: UnixTime.milliseconds)
            return SharedStoreClients(
                redis: NIOLoopBound(client, eventLoop: controlLoop), permits: permits, users: users,
                quotas: quotas, traces: RedisTraceReferences(client), userKey: key)
        }.get()
    }

    /// Connects, so that the first message need not wait for that.
    func start() {
        redis.eventLoop.execute { [redis] in redis.value.startIfNeeded() }
    }

    func shutDown() {
        redis.eventLoop.execute { [redis] in redis.value.shutDown() }
    }
}
