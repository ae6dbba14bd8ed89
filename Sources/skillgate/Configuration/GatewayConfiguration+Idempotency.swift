import GatewayCore
import GatewayRedis
import TLSFiles
import Yams

extension GatewayConfiguration {
    mutating func readIdempotency(_ root: ConfigurationSection, _ secrets: SecretReader) {
        root.section("idempotency") { section in
            let store = section.value("store", ConfigurationValue<StoreKind>.choice, default: .memory)
            idempotency.retention = section.value(
                "retention", .duration(.seconds(60) ... .seconds(30 * 86_400)), default: idempotency.retention)
            idempotency.concurrentDuplicates = section.value(
                "concurrentDuplicates", .choice, default: idempotency.concurrentDuplicates)
            idempotency.fingerprintKeys = readFingerprintKeys(section, secrets)
            section.section("memory") { section in
                let memory = idempotency.memory
                idempotency.memory.maximumRecords = section.value(
                    "maximumRecords", .integer(1...1_000_000_000), default: memory.maximumRecords)
                idempotency.memory.maximumBytes = section.value(
                    "maximumBytes", .size(1024...(1 << 40)), default: memory.maximumBytes)
                idempotency.memory.whenFull = section.value("whenFull", .choice, default: memory.whenFull)
            }
            if store == .memory && section.has("redis") {
                section.reader.warn(
                    "`redis` is ignored because `store` is `memory`: each replica deduplicates on its own; "
                        + "expected `store: redis` or no `redis`", at: section.mark(of: "redis"))
            }
            section.section("redis") { section in
                var redis = readRedis(section, secrets, isRequired: store == .redis)
                redis?.retention = idempotency.retention
                if store == .redis { idempotency.redis = redis }
            }
            if idempotency.retention <= upstream.limits.lease {
                section.report(
                    "`retention` is \(idempotency.retention); expected more than the longest time a message can take, "
                        + "\(upstream.limits.lease)", at: "retention")
            }
        }
    }

    /// The first is used; what was made with one of the others is known.
    private func readFingerprintKeys(_ section: ConfigurationSection, _ secrets: SecretReader) -> [String] {
        let one = secrets.optional("fingerprintKey", in: section)
        guard section.has("fingerprintKeys") else { return one.map { [$0] } ?? [] }
        if section.has("fingerprintKey") {
            section.report("`fingerprintKey` and `fingerprintKeys` are both given; expected one", at: "fingerprintKey")
        }
        return section.sections("fingerprintKeys") { secrets.read($0) }
    }

    private mutating func readRedis(
        _ section: ConfigurationSection, _ secrets: SecretReader, isRequired: Bool
    ) -> RedisConfiguration? {
        let url = isRequired ? section.required("url", .redisURL) : section.value("url", .redisURL)
        var redis = RedisConfiguration(addresses: url?.addresses ?? [])
        redis.database = url?.database ?? 0
        redis.credentials = readCredentials(section, secrets)
        redis.keyPrefix = section.value("keyPrefix", .keyPrefix, default: redis.keyPrefix)
        redis.commandTimeout = section.value(
            "commandTimeout", .duration(.milliseconds(5) ... .seconds(5)), default: redis.commandTimeout)
        redis.stepTimeout = redis.commandTimeout * 2
        idempotency.onStoreUnavailable = section.value(
            "onStoreUnavailable", .choice, default: idempotency.onStoreUnavailable)
        if section.value("cluster", .boolean, default: false) { redis.topology = .cluster }
        readSentinel(section, secrets, into: &redis)
        // Behind a failover stands whatever the new master has.
        let hasFailover = redis.topology != .standalone
        redis.waitReplicas = section.value("waitReplicas", .replicas, default: hasFailover ? .all : .count(0))
        if hasFailover && redis.waitReplicas == .count(0) {
            section.reader.warn(
                "with `waitReplicas: 0` a failover loses records, and messages are sent twice; expected `all`",
                at: section.mark(of: "waitReplicas"))
        }
        redis.onStoreWiped = section.value("onStoreWiped", .choice, default: redis.onStoreWiped)
        readTLS(section, secrets, isSecure: url?.isSecure, into: &redis)
        let isElsewhere = redis.addresses.contains { !APIEndpoint.isLoopback(host: $0.host) }
        if redis.credentials != nil && url?.isSecure == false && isElsewhere {
            section.reader.warn(
                "`password` is sent to another host unencrypted; expected a `url` that begins with rediss://",
                at: section.mark(of: "password"))
        }
        if redis.topology == .cluster && redis.database != 0 {
            section.report("`url` names database \(redis.database); a cluster has database 0 only", at: "url")
        }
        return url == nil ? nil : redis
    }

    private func readCredentials(
        _ section: ConfigurationSection, _ secrets: SecretReader
    ) -> RedisConfiguration.Credentials? {
        let username = section.value("username", .text("the name of a Redis user"))
        let password = secrets.optional("password", in: section)
        if username != nil && !section.has("password") {
            section.report("`username` is given without `password`", at: "username")
        }
        return password.map { RedisConfiguration.Credentials(username: username, password: $0) }
    }

    private func readSentinel(
        _ section: ConfigurationSection, _ secrets: SecretReader, into redis: inout RedisConfiguration
    ) {
        section.optionalSection("sentinel") { sentinel -> Void? in
            guard let master = sentinel.required("master", .text("the master name that the Sentinels use")) else {
                return nil
            }
            if redis.topology == .cluster {
                sentinel.report("`sentinel` and `cluster` are both given; a cluster has no Sentinels")
            }
            redis.topology = .sentinel(master: master, readCredentials(sentinel, secrets))
            return nil
        }
    }

    private func readTLS(
        _ section: ConfigurationSection, _ secrets: SecretReader, isSecure: Bool?, into redis: inout RedisConfiguration
    ) {
        if isSecure == true { redis.tls = .init() }
        section.optionalSection("tls") { tls -> Void? in
            var files = RedisConfiguration.TLS()
            files.caFile = readPath("caFile", tls, secrets)
            files.certificateChainFile = readPath("certificateChainFile", tls, secrets)
            files.privateKeyFile = readPath("privateKeyFile", tls, secrets)
            if (files.certificateChainFile == nil) != (files.privateKeyFile == nil) {
                tls.report("`certificateChainFile` and `privateKeyFile` must be given together")
            }
            if isSecure == false { tls.report("`tls` is given and `url` begins with redis://; expected rediss://") }
            do {
                if tls.reader.problems.isEmpty { _ = try ClientTLS(files) }
            } catch {
                tls.report("`tls`: \(error)")
            }
            redis.tls = files
            return nil
        }
    }

    /// The path of a file that can be read.
    private func readPath(_ name: String, _ section: ConfigurationSection, _ secrets: SecretReader) -> String? {
        guard let path = section.value(name, .text("the path of a PEM file")) else { return nil }
        let file = secrets.path(path)
        do throws(TextFile.ReadingError) {
            section.reader.watch(file)
            _ = try TextFile.read(file, limitBytes: 4 << 20)
        } catch {
            section.report("`\(name)`: \(error.description)", at: name)
        }
        return file
    }
}
