import GatewayCore
import GatewayRedis

extension GatewayConfiguration {
    /// The store that all replicas share, as it is written.
    struct SharedStore: Equatable, Sendable {
        struct Sentinel: Equatable, Sendable {
            var master = ""
            var username: String?
            var password: String?
        }

        var url: RedisURL?
        var username: String?
        var password: String?
        var keyPrefix = RedisConfiguration(addresses: []).keyPrefix
        var isCluster = false
        var sentinel: Sentinel?
        var tls: RedisConfiguration.TLS?
        /// Nil: as many as a failover requires.
        var waitReplicas: RedisConfiguration.Replicas?
        var commandTimeout = RedisConfiguration(addresses: []).commandTimeout
        var onStoreWiped = RedisConfiguration(addresses: []).onStoreWiped
    }
}

extension GatewayConfiguration.SharedStore {
    var hasFailover: Bool { isCluster || sentinel != nil }

    func configuration(retention: Duration) -> RedisConfiguration {
        var redis = RedisConfiguration(addresses: url?.addresses ?? [])
        redis.database = url?.database ?? 0
        redis.topology = topology
        redis.credentials = Self.credentials(username, password)
        redis.tls = tls ?? (url?.isSecure == true ? RedisConfiguration.TLS() : nil)
        redis.keyPrefix = keyPrefix
        // Behind a failover stands whatever the new master has.
        redis.waitReplicas = waitReplicas ?? (hasFailover ? .all : .count(0))
        redis.onStoreWiped = onStoreWiped
        redis.retention = retention
        redis.commandTimeout = commandTimeout
        redis.stepTimeout = commandTimeout * 2
        return redis
    }

    private var topology: RedisConfiguration.Topology {
        if let sentinel {
            return .sentinel(master: sentinel.master, Self.credentials(sentinel.username, sentinel.password))
        }
        return isCluster ? .cluster : .standalone
    }

    private static func credentials(_ username: String?, _ password: String?) -> RedisConfiguration.Credentials? {
        password.map { RedisConfiguration.Credentials(username: username, password: $0) }
    }
}
