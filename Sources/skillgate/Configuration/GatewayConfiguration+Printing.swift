import GatewayCore
import GatewayRedis
import GatewayServer
import GatewayUpstream
import Logging
import Yams

extension GatewayConfiguration {
    /// What is in force, defaults and overrides included, as YAML. Secrets are left out: `redacted` stands for each, and for an API
    /// key the beginning of its hash.
    func printed() throws -> String {
        var root: [(String, Node?)] = [
            ("eventLoops", eventLoops.map { Node("\($0)") }),
            ("listeners", .list(listeners.map(Self.node))),
            (
                "admin",
                .mapping([
                    ("address", Node(ListenerConfiguration.Address.tcp(host: admin.host, port: admin.port).description))
                ])
            ),
            ("regions", regionsNode),
            ("tokenEndpoint", Node(tokenEndpoint)),
            ("upstream", upstreamNode),
            ("discovery", Node(discovery.rawValue)),
            ("skills", .list(skills.map(Self.node))),
            ("callers", .list(callers.enumerated().filter { $0.offset != anonymousCaller }.map { node($0.element) })),
        ]
        if let callerTokens {
            let keys = callerTokens.signingSecrets.map { _ in Node.redacted }
            root.append(
                (
                    "callerTokens",
                    .mapping([("signingKeys", .list(keys)), ("lifetime", Node(callerTokens.lifetime.text))])
                ))
        }
        if let anonymousCaller { root.append(("anonymousCaller", node(callers[anonymousCaller], isAnonymous: true))) }
        root.append(("idempotency", idempotencyNode))
        root.append(
            (
                "accessLog",
                accessLogFile.map {
                    .mapping([("file", Node($0)), ("acceptedPerLine", Node("\(acceptedPerLogLine)"))])
                }
            ))
        root.append(("audit", auditFile.map { .mapping([("file", Node($0))]) }))
        root.append(
            ("log", .mapping([("level", Node(log.level.rawValue)), ("format", Node(log.format.rawValue))])))
        root.append(
            ("drain", .mapping([("notice", Node(drain.notice.text)), ("timeout", Node(drain.timeout.text))])))
        return try Yams.serialize(node: .mapping(root), allowUnicode: true)
    }

    /// What the environment says may hold a password.
    private var proxyNode: Node? {
        switch upstream.proxy {
        case .environment: nil
        case .url(let url): Node(url)
        case .none: Node("none")
        }
    }

    private static func node(_ listener: ListenerConfiguration) -> Node {
        var members: [(String, Node?)] = [("address", Node(listener.address.description))]
        if case .unix(_, let access) = listener.address {
            members.append(("mode", Node("0" + String(access.mode, radix: 8))))
            members.append(("owner", access.owner.map { Node($0) }))
            members.append(("group", access.group.map { Node($0) }))
        }
        members += [
            ("writeTimeout", Node(listener.writeTimeout.text)),
            ("maximumConnections", Node("\(listener.maximumConnections)")),
            ("maximumConnectionsPerAddress", listener.maximumConnectionsPerAddress.map { Node("\($0)") }),
        ]
        if let tls = listener.tls {
            members.append(
                (
                    "tls",
                    .mapping([
                        ("certificateChainFile", Node(tls.certificateChainFile)),
                        ("privateKeyFile", Node(tls.privateKeyFile)),
                        ("clientCAFile", tls.clientCAFile.map { Node($0) }),
                        (
                            "requireClientCertificate",
                            tls.clientCAFile.map { _ in Node("\(tls.requiresClientCertificate)") }
                        ),
                    ])
                ))
        }
        return .mapping(members)
    }

    private var regionsNode: Node {
        .mapping(
            Region.allCases.map { region in
                let aliases = aliases[region].map { Node($0.description) }
                return (
                    region.name,
                    .mapping([
                        ("apiEndpoint", Node(endpoints[region].description)),
                        ("aliases", aliases.isEmpty ? nil : .list(aliases)),
                    ])
                )
            })
    }

    private var upstreamNode: Node {
        .mapping([
            ("trust", upstream.caFile.map { .mapping([("caFile", Node($0))]) }),
            ("deadline", Node(upstream.limits.deadline.text)),
            ("connectTimeout", Node(upstream.region.pool.connectTimeout.text)),
            ("maximumConnectionsPerRegion", Node("\(upstream.region.pool.maximumConnections)")),
            ("idleTimeout", Node(upstream.region.pool.idleTimeout.text)),
            ("circuitBreaker", Node("\(upstream.region.circuit.isEnabled)")),
            ("adaptiveInFlightLimit", Node("\(upstream.region.limit.isAdaptive)")),
            ("proxy", proxyNode),
            ("strict5xx", Node("\(upstream.strict5xx)")),
        ])
    }

    private static func node(_ skill: SkillConfiguration) -> Node {
        .mapping([
            ("name", Node(skill.name)), ("id", skill.id.map { Node($0) }),
            ("clientID", Node(skill.credentials.clientID)),
            ("clientSecret", .redacted),
            ("nextClientSecret", skill.credentials.nextClientSecret.map { _ in .redacted }),
            ("defaultRegion", skill.defaultRegion.map { Node($0.name) }),
        ])
    }

    private func node(_ caller: CallerConfiguration, isAnonymous: Bool = false) -> Node {
        var members: [(String, Node?)] = []
        if !isAnonymous {
            let keys = caller.keys.map { Node.mapping([("sha256", Node($0.hexadecimal.prefix(8) + "…"))]) }
            members = [
                ("name", Node(caller.name)), ("id", caller.id.map { Node($0) }),
                ("apiKeys", keys.isEmpty ? nil : .list(keys)),
                ("clientID", caller.client.map { Node($0.clientID) }),
                ("clientSecret", caller.client.map { _ in .redacted }),
                ("nextClientSecret", caller.client.flatMap { $0.secrets.count > 1 ? .redacted : nil }),
                ("certificate", caller.certificateName.map(Self.certificateNode)),
            ]
        }
        let regions = Region.allCases.filter(caller.regions.contains)
        members += [
            ("skills", .list(caller.skills.map { Node(skills[$0].name) })),
            ("regions", .list(regions.map { Node($0.name) })),
            (
                "rate",
                caller.limits.rate.map {
                    .mapping([("perSecond", Node("\($0.perSecond)")), ("burst", Node("\($0.burst)"))])
                }
            ),
            ("maximumInFlight", caller.limits.maximumInFlight.map { Node("\($0)") }),
            ("idempotencyKey", isAnonymous ? nil : Node(caller.requiresIdempotencyKey ? "required" : "optional")),
            ("unknownOutcome", isAnonymous ? nil : Node(caller.unknownOutcome.rawValue)),
        ]
        return .mapping(members)
    }

    /// `uri:spiffe://…` as {uri: …}.
    private static func certificateNode(_ name: String) -> Node {
        let parts = name.split(separator: ":", maxSplits: 1)
        return .mapping([(String(parts.first ?? ""), Node(String(parts.last ?? "")))])
    }

    private var idempotencyNode: Node {
        .mapping([
            ("store", Node(idempotency.redis == nil ? "memory" : "redis")),
            (
                "fingerprintKeys",
                idempotency.fingerprintKeys.isEmpty ? nil : .list(idempotency.fingerprintKeys.map { _ in .redacted })
            ),
            ("retention", Node(idempotency.retention.text)),
            ("concurrentDuplicates", Node(idempotency.concurrentDuplicates.rawValue)),
            (
                "memory",
                .mapping([
                    ("maximumRecords", Node("\(idempotency.memory.maximumRecords)")),
                    ("maximumBytes", Node("\(idempotency.memory.maximumBytes)")),
                    ("whenFull", Node(idempotency.memory.whenFull.rawValue)),
                ])
            ),
            ("redis", idempotency.redis.map(redisNode)),
        ])
    }

    private func redisNode(_ redis: RedisConfiguration) -> Node {
        let scheme = redis.tls == nil ? "redis" : "rediss"
        let addresses = redis.addresses.map(\.description).joined(separator: ",")
        var sentinel: Node?
        if case .sentinel(let master, let credentials) = redis.topology {
            sentinel = .mapping([
                ("master", Node(master)), ("username", credentials?.username.map { Node($0) }),
                ("password", credentials.map { _ in .redacted }),
            ])
        }
        return .mapping([
            ("url", Node("\(scheme)://\(addresses)/\(redis.database)")),
            ("username", redis.credentials?.username.map { Node($0) }),
            ("password", redis.credentials.map { _ in .redacted }),
            ("keyPrefix", Node(redis.keyPrefix)), ("cluster", Node("\(redis.topology == .cluster)")),
            ("sentinel", sentinel),
            (
                "tls",
                redis.tls.map { tls in
                    .mapping([
                        ("caFile", tls.caFile.map { Node($0) }),
                        ("certificateChainFile", tls.certificateChainFile.map { Node($0) }),
                        ("privateKeyFile", tls.privateKeyFile.map { Node($0) }),
                    ])
                }
            ),
            ("waitReplicas", Node(redis.waitReplicas.text)), ("commandTimeout", Node(redis.commandTimeout.text)),
            ("onStoreUnavailable", Node(idempotency.onStoreUnavailable.rawValue)),
            ("onStoreWiped", Node(redis.onStoreWiped.rawValue)),
        ])
    }
}

extension Node {
    fileprivate static var redacted: Node { Node("redacted") }

    fileprivate static func list(_ nodes: [Node]) -> Node { .sequence(.init(nodes)) }

    /// Members without a value are left out.
    fileprivate static func mapping(_ members: [(String, Node?)]) -> Node {
        .mapping(.init(members.compactMap { name, value in value.map { (Node(name), $0) } }))
    }
}

extension RedisConfiguration.Replicas {
    fileprivate var text: String {
        switch self {
        case .all: "all"
        case .count(let count): "\(count)"
        }
    }
}

extension Duration {
    /// As a configuration has it: in the largest unit that leaves no fraction.
    var text: String {
        let milliseconds = components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
        for (unit, factor) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] as [(String, Int64)]
        where milliseconds > 0 && milliseconds % factor == 0 {
            return "\(milliseconds / factor)\(unit)"
        }
        return milliseconds == 0 ? "0s" : "\(milliseconds)ms"
    }
}
