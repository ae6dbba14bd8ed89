import GatewayCore
import GatewayRedis
import TransportSecurity

extension GatewayConfiguration {
    static var idempotencyOption: ConfigurationOption<Self> {
        .section(
            "idempotency",
            [
                .optional(
                    "store", \.idempotency.store, .choice,
                    "where records live: in the process, in files of its machine, or on a Redis that all replicas share",
                    otherwise: "`file` if there is a directory for it, otherwise `memory`", example: "file"),
                .value(
                    "retention", \.idempotency.retention, .duration(.seconds(60) ... .seconds(30 * 86_400)),
                    "how long a key is remembered"),
                .value(
                    "concurrentDuplicates", \.idempotency.concurrentDuplicates, .choice,
                    "what a duplicate does while its message is in flight; `reject`: 409"),
                .secrets(
                    "fingerprintKeys", \.idempotency.fingerprintKeyList, type: "secrets",
                    "secret keys for message fingerprints; must be the same on all replicas. New fingerprints use the first; records made with any of the others are recognized. Without one, a shared store's fingerprints are keyed by the idempotency keys alone",
                    example: "[{file: secrets/fingerprint}]", read: { $0.referencedSecret() }),
                .secret(
                    "fingerprintKey", \.idempotency.fingerprintKey, "the same, for a single key",
                    example: "secrets/fingerprint"),
                .section(
                    "memory",
                    [
                        .value(
                            "maximumRecords", \.idempotency.memory.maximumRecords, .integer(1...1_000_000_000),
                            "of all callers"),
                        .value(
                            "maximumBytes", \.idempotency.memory.maximumBytes, .size(1024...(1 << 40)),
                            "about 120 bytes per record"),
                        .value(
                            "whenFull", \.idempotency.memory.whenFull, .choice,
                            "forget the oldest accepted message, or respond with 503"),
                    ]),
                .section(
                    "file", isInForce: { $0.idempotency.kind == .file }, fileOptions, check: checkFile),
                .section(
                    "redis", isInForce: { $0.idempotency.kind == .redis }, redisOptions, check: checkRedis),
            ], check: checkIdempotency)
    }

    private static var fileOptions: [ConfigurationOption<Self>] {
        [
            .file(
                "directory", \.idempotency.file.directory, "a directory",
                "for the files; one process at a time uses it, and the next waits for it. Made if it does not exist",
                otherwise: "`$STATE_DIRECTORY`, which systemd sets", example: "/var/lib/skillgate"),
            .value(
                "durability", \.idempotency.file.durability, .choice,
                "what records survive: `process`: its end, however it comes. `machine`: a loss of power, too; every message waits for the disk"
            ),
            .value(
                "onStoreUnavailable", \.idempotency.file.onStoreUnavailable, .choice,
                "if nothing can be written: `refuse`: 503. `forward`: messages are sent, marked `Gateway-Deduplication: replica`, and forgotten by a restart"
            ),
        ]
    }

    private static var redisOptions: [ConfigurationOption<Self>] {
        [
            .optional(
                "url", \.idempotency.sharedStore.url, .redisURL,
                "`redis://` or `rediss://` (TLS), host, port, database. For a cluster or for Sentinels, several hosts separated by commas (quote the URL inside braces)",
                otherwise: "required with `store: redis`", example: "rediss://redis.internal:6379/0"),
            .optional(
                "username", \.idempotency.sharedStore.username, .text("the name of a Redis user"), "of an ACL user",
                example: "skillgate"),
            .secret(
                "password", \.idempotency.sharedStore.password, "of that user, or of the server",
                example: "secrets/redis"),
            .value(
                "keyPrefix", \.idempotency.sharedStore.keyPrefix, .keyPrefix,
                "deployments with the same one share their records"),
            .value("cluster", \.idempotency.sharedStore.isCluster, .boolean, "Redis Cluster"),
            .optionalSection(
                "sentinel", \.idempotency.sharedStore.sentinel, new: .init(),
                [
                    .required(
                        "master", \.master, .text("the master name that the Sentinels use"),
                        "the hosts of the URL are Sentinels, which know the master by this name", example: "records"),
                    .optional(
                        "username", \.username, .text("the name of a Redis user"), "of the Sentinels",
                        example: "skillgate"),
                    .secret("password", \.password, "of the Sentinels", example: "secrets/sentinel"),
                ]
            ) { section, sentinel, configuration in
                section.reportMissingPassword(sentinel.username)
                if configuration.idempotency.sharedStore.isCluster {
                    section.report("`sentinel` and `cluster` are both given; a cluster has no Sentinels")
                }
            },
            .optionalSection(
                "tls", \.idempotency.sharedStore.tls, new: .init(), tlsOptions,
                check: checkTLS(_:_:_:)),
            .optional(
                "waitReplicas", \.idempotency.sharedStore.waitReplicas, .replicas,
                "replicas that must confirm a record before its message is sent",
                otherwise: "`all` with Sentinels and in a cluster, otherwise `0`", example: "all"),
            .value(
                "commandTimeout", \.idempotency.sharedStore.commandTimeout,
                .duration(.milliseconds(5) ... .seconds(5)),
                "for the reply to one command; if a server sends nothing at all for twice as long, the gateway reconnects to it"
            ),
            .value(
                "onStoreUnavailable", \.idempotency.onStoreUnavailable, .choice,
                "`refuse`: 503. `forward`: messages are sent, deduplicated only within each replica, and marked `Gateway-Deduplication: replica`"
            ),
            .value(
                "onStoreWiped", \.idempotency.sharedStore.onStoreWiped, .choice,
                "after Redis has lost its records: keep sending, or return 503 for keys that it does not know, for `retention`"
            ),
        ]
    }

    private static var tlsOptions: [ConfigurationOption<RedisConfiguration.TLS>] {
        [
            .file(
                "caFile", \.caFile, "a PEM file", "CAs trusted in addition to the system's", example: "redis-ca.pem",
                check: reasonNotReadable),
            .file(
                "certificateChainFile", \.certificateChainFile, "a PEM file", "the gateway's own certificate",
                example: "client.pem", check: reasonNotReadable),
            .file(
                "privateKeyFile", \.privateKeyFile, "a PEM file", "of that certificate", example: "client-key.pem",
                check: reasonNotReadable),
        ]
    }

    private static func reasonNotReadable(_ reader: ConfigurationReader, _ file: String) -> String? {
        reader.watch(file)
        do throws(TextFile.ReadingError) {
            _ = try TextFile.read(file, limitBytes: 4 << 20)
            return nil
        } catch {
            return error.description
        }
    }

    // MARK: Checks

    private static func checkIdempotency(_ section: ConfigurationSection, _ configuration: inout Self) {
        let idempotency = configuration.idempotency
        configuration.idempotency.store = idempotency.kind
        let lease = configuration.upstream.limits.lease
        if section.has("fingerprintKey") && section.has("fingerprintKeys") {
            section.report("`fingerprintKey` and `fingerprintKeys` are both given; expected one", at: "fingerprintKey")
        }
        if idempotency.kind != .redis && section.has("redis") {
            section.reader.warn(
                "`redis` is ignored because `store` is `\(idempotency.kind)`: each replica deduplicates on its own; "
                    + "expected `store: redis` or no `redis`", at: section.mark(of: "redis"))
        }
        if idempotency.kind != .file && section.has("file") {
            section.reader.warn(
                "`file` is ignored because `store` is `\(idempotency.kind)`; expected `store: file` or no `file`",
                at: section.mark(of: "file"))
        }
        if idempotency.retention <= lease {
            section.report(
                "`retention` is \(idempotency.retention); expected more than the longest time a message can take, "
                    + "\(lease)", at: "retention")
        }
        checkContentKeys(section, configuration)
    }

    private static func checkContentKeys(_ section: ConfigurationSection, _ configuration: Self) {
        let (idempotency, callers) = (configuration.idempotency, configuration.namedCallers)
        let keyed = callers.filter { $0.idempotencyKeyFrom.contains(.content) }
        for caller in keyed where caller.contentWindow > idempotency.retention {
            section.report(
                "`retention` is \(idempotency.retention); expected no less than the `contentWindow` of the caller "
                    + "`\(caller.name)`, \(caller.contentWindow)", at: "retention")
        }
        if let caller = keyed.first, idempotency.kind != .memory, idempotency.fingerprintKeys.isEmpty {
            section.reader.warn(
                "keys of the caller `\(caller.name)` come from the content, and there is no `fingerprintKey`: whoever reads "
                    + "the store can test guesses of what was sent", at: section.mark(of: "fingerprintKey"))
        }
    }

    private static func checkFile(_ section: ConfigurationSection, _ configuration: inout Self) {
        // Several directories are separated by colons; the first is the service's own.
        let state = section.reader.environment["STATE_DIRECTORY"]?.split(separator: ":").first
        if configuration.idempotency.file.directory == nil, let state {
            configuration.idempotency.file.directory = String(state)
        }
        // Whoever writes options for files wants files.
        let isMeant =
            configuration.idempotency.store == nil && section.has(anyOf: ["durability", "onStoreUnavailable"])
        guard configuration.idempotency.kind == .file || isMeant else { return }
        guard let directory = configuration.idempotency.file.directory else {
            return section.reportMissing("directory", expected: "the path of a directory, or $STATE_DIRECTORY")
        }
        section.checkHere(at: "directory") { TextFile.reasonNoFolder(directory).map { "`directory`: \($0)" } }
    }

    private static func checkRedis(_ section: ConfigurationSection, _ configuration: inout Self) {
        let store = configuration.idempotency.sharedStore
        if configuration.idempotency.kind == .redis && store.url == nil && !section.has("url") {
            section.reportMissing("url", expected: ConfigurationValue<RedisURL>.redisURL.expected)
        }
        section.reportMissingPassword(store.username)
        if store.hasFailover && store.waitReplicas == .count(0) {
            section.reader.warn(
                "with `waitReplicas: 0` a failover loses records, and messages are sent twice; expected `all`",
                at: section.mark(of: "waitReplicas"))
        }
        if let url = store.url, !url.isSecure, store.password != nil,
            url.addresses.contains(where: { !APIEndpoint.isLoopback(host: $0.host) })
        {
            section.reader.warn(
                "`password` is sent to another host unencrypted; expected a `url` that begins with rediss://",
                at: section.mark(of: "password"))
        }
        if store.isCluster, let database = store.url?.database, database != 0 {
            section.report("`url` names database \(database); a cluster has database 0 only", at: "url")
        }
    }

    private static func checkTLS(
        _ section: ConfigurationSection, _ tls: inout RedisConfiguration.TLS, _ configuration: Self
    ) {
        if (tls.certificateChainFile == nil) != (tls.privateKeyFile == nil) {
            section.report("`certificateChainFile` and `privateKeyFile` must be given together")
        }
        if configuration.idempotency.sharedStore.url?.isSecure == false {
            section.report("`tls` is given and `url` begins with redis://; expected rediss://")
        }
        do {
            if section.reader.problems.isEmpty { _ = try ClientTLS(tls) }
        } catch {
            section.report("`tls`: \(error)")
        }
    }
}

extension ConfigurationSection {
    fileprivate func reportMissingPassword(_ username: String?) {
        if username != nil && !has("password") {
            report("`username` is given without `password`", at: "username")
        }
    }
}
