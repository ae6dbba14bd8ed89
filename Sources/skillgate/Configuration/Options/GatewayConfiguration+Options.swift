import GatewayCore
import GatewayServer
import Logging
import Yams

extension GatewayConfiguration {
    /// Every option there is, in the order of the reference file. One may look at those before it.
    static var options: [ConfigurationOption<Self>] {
        [
            .optional(
                "eventLoops", \.eventLoops, .integer(1...256), "data-plane threads", otherwise: "one per core",
                example: "2"),
            listenersOption,
            adminOption,
            .optional(
                "problemDocumentation", \.problemDocumentation, .documentationURL,
                "each problem's response gets a `Link` to this URL with the last part of the problem's `type` appended",
                otherwise: "no link", example: "https://docs.example.com/skillgate/API.md#"),
            .section("regions", Region.allCases.map(regionOption)),
            .value("tokenEndpoint", \.tokenEndpoint, .endpointURL, "Login with Amazon"),
            upstreamOption,
            .value(
                "discovery", \.discovery, .choice,
                "`probe`: a message whose region is neither stated nor learned is tried in the other regions if the first does not know the user",
                reloads: true),
            .section(
                "users",
                [
                    .value(
                        "shared", \.sharesUsers, .boolean,
                        "replicas tell each other where users live and who is gone, through the store; requires `idempotency.store: redis`"
                    )
                ]),
            receiptsOption,
            skillsOption,
            callerTokensOption,
            issuersOption,
            callersOption,
            anonymousCallerOption,
            idempotencyOption,
            .section(
                "accessLog", isInForce: { $0.accessLogFile != nil },
                [
                    .file(
                        "file", \.accessLogFile, "a file",
                        "a line of JSON for each message; `/dev/stdout` for standard output",
                        example: "/var/log/skillgate/access.log", check: reasonNotWritable),
                    .value(
                        "acceptedPerLine", \.acceptedPerLogLine, .integer(1...1_000_000),
                        "logs 1 in this many accepted messages (`standsFor` in the line says how many it stands for); everything else, and what broke a rule in `reportOnly`, gets its own line",
                        reloads: true),
                ]),
            .section(
                "audit",
                [
                    .file(
                        "file", \.auditFile, "a file", "one JSON line per authorization decision",
                        example: "/var/log/skillgate/audit.log", check: reasonNotWritable)
                ]),
            eventsOption,
            tracesOption,
            .section(
                "log",
                [
                    .value("level", \.log.level, .choice, "level of the gateway's own log", reloads: true),
                    .value(
                        "format", \.log.format, .choice, "`auto`: text on a terminal, otherwise JSON", reloads: true),
                ]),
            .section(
                "drain",
                [
                    .value(
                        "notice", \.drain.notice, .duration(.zero ... .seconds(300)),
                        "after SIGTERM: from failing `/readyz` to closing the listeners"),
                    .value(
                        "timeout", \.drain.timeout, .duration(.seconds(1) ... .seconds(3600)),
                        "time for in-flight messages to finish after that"),
                ]),
        ]
    }

    private static func regionOption(_ region: Region) -> ConfigurationOption<Self> {
        .section(
            region.name,
            [
                .value(
                    "apiEndpoint", \.endpoints[region], .endpoint,
                    "where messages of the region go; may have a path prefix"),
                .values(
                    "aliases", \.aliases[region], .alias,
                    "other URLs accepted in `Gateway-Api-Endpoint`; never connected to",
                    example: "[https://api.example.com]"),
            ])
    }

    static func reasonNoSocket(_: ConfigurationReader, _ path: String) -> String? {
        guard case .unix = ListenerAddressText("unix:" + path) else {
            return "`socket` is `\(path)`; expected an absolute path of at most 96 bytes"
        }
        return TextFile.reasonNoSocket(path).map { "`socket`: \($0)" }
    }

    private static func reasonNotWritable(_: ConfigurationReader, _ file: String) -> String? {
        TextFile.reasonNotWritable(file).map { "cannot write \(file): \($0)" }
    }

    /// What no option can tell alone.
    static func check(_ root: ConfigurationSection, _ configuration: inout Self) {
        do {
            _ = try configuration.regionDirectory()
        } catch {
            let names = error.regions.map(\.name).joined(separator: " and ")
            root.report("`\(error.endpoint)` belongs to two regions, \(names)", at: "regions")
        }
        if configuration.callers.isEmpty && !root.has("callers") {
            root.report("`callers` is missing; expected a list of at least one caller, or `anonymousCaller`")
        }
        if configuration.receipts == nil && configuration.listeners.contains(where: { $0.services == [.receipts] }) {
            root.report("a listener with `serves: [receipts]` requires `receipts.signingKeys`", at: "listeners")
        }
        if configuration.idempotency.kind != .redis,
            let caller = configuration.callers.first(where: \.sharesRate)
        {
            root.report(
                "`rate.scope: deployment` of the caller `\(caller.name)` requires a store that all replicas share; expected "
                    + "`idempotency.store: redis`", at: "callers")
        }
        if configuration.sharesUsers && configuration.idempotency.kind != .redis {
            root.report(
                "`users.shared` requires a store that all replicas share; expected `idempotency.store: redis`",
                at: "users")
        } else if configuration.sharesUsers && configuration.idempotency.fingerprintKeys.isEmpty {
            root.reader.warn(
                "`users.shared` without `idempotency.fingerprintKeys`: whoever reads Redis can tell whether a userId is in it",
                at: root.mark(of: "users"))
        }
        configuration.checkAdmin(root)
        configuration.warnOfSharedPort(root)
    }

    /// Only one of them can listen there, unless they are on different addresses of the machine.
    private func warnOfSharedPort(_ root: ConfigurationSection) {
        var taken = [(host: admin.host, port: admin.port, name: "the admin listener")]
        for case .tcp(let host, let port) in listeners.map(\.address) where port != 0 {
            if let other = taken.first(where: { $0.port == port && Self.overlap($0.host, host) }) {
                root.reader.warn(
                    "a listener and \(other.name) are both on port \(port); expected a port of its own for each",
                    at: root.mark(of: root.has("admin") ? "admin" : "listeners"))
            }
            taken.append((host, port, "another listener"))
        }
    }

    private static func overlap(_ one: String, _ other: String) -> Bool {
        let wildcards = ["0.0.0.0", "::"]
        return one == other || wildcards.contains(one) || wildcards.contains(other)
            || ([one, other].contains("localhost") && [one, other].allSatisfy { APIEndpoint.isLoopback(host: $0) })
    }

    // MARK: In force

    /// Top-level options that differ and that a running gateway cannot change without a restart.
    func membersThatNeedRestart(from running: GatewayConfiguration) -> [String] {
        Self.options.filter { !$0.needsNoRestart(self, running) }.map(\.name)
    }

    /// What is in force, defaults and overrides included, as YAML. Secrets are left out: `redacted` stands for each, and for an API
    /// key the beginning of its hash.
    func printed() throws -> String {
        try Yams.serialize(node: .mapping(Self.options, of: self), allowUnicode: true)
    }
}
