import Crypto
import GatewayCore
import GatewayRedis
import Logging
import NIOCore

/// What replicas share besides records, by Redis, on one connection of this process.
struct SharedKnowledge: Sendable {
    let permits: RedisPermitServer
    let users: RedisUserServer
    /// What users are hashed with, the same on all replicas.
    let userKey: SymmetricKey

    /// Nil without a store that replicas share. Connects when something is asked for.
    static func on(
        _ controlLoop: any EventLoop, _ configuration: GatewayConfiguration.Idempotency, _ logger: Logger
    ) async throws -> SharedKnowledge? {
        guard let redis = configuration.redis else { return nil }
        let log = SharedKnowledgeLog(logger)
        // Without a secret as without one for fingerprints: whoever reads the store can test guesses.
        let secret = configuration.fingerprintKeys.first ?? ""
        let key = SymmetricKey(data: SHA256.hash(data: Array("skillgate users \(secret)".utf8)))
        return try await controlLoop.submit {
            let client = try RedisClient(
                redis, clientName: "skillgate-shared", eventLoop: controlLoop, vouches: false,
                unixMilliseconds: UnixTime.milliseconds, onEvent: { log.report($0) })
            let permits = RedisPermitServer(
                client, replica: String(UInt64.random(in: .min ... .max), radix: 36),
                unixMilliseconds: UnixTime.milliseconds)
            let users = RedisUserServer(client, unixMilliseconds: UnixTime.milliseconds)
            return SharedKnowledge(permits: permits, users: users, userKey: key)
        }.get()
    }
}
