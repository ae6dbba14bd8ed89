import GatewayCore
import GatewayServer
import Yams

extension GatewayConfiguration {
    static var callersOption: ConfigurationOption<Self> {
        .list(
            "callers", \.namedCallers, new: CallerConfiguration(), reloads: true, callerOptions,
            check: check(_:_:_:))
    }

    static var anonymousCallerOption: ConfigurationOption<Self> {
        .optionalSection(
            "anonymousCaller", \.anonymousCaller, new: CallerConfiguration(name: "anonymous"), reloads: true,
            [
                skillsOfCaller(
                    "requests without credentials may send for these skills; on loopback addresses and Unix sockets only"
                )
            ]
                + callerLimitOptions
        ) { section, caller, configuration in
            if let listener = configuration.listeners.first(where: {
                !$0.address.isLocal && $0.services.contains(.messages)
            }) {
                section.report(
                    "`anonymousCaller` lets anyone who can reach \(listener.address) send; expected "
                        + "only listeners on loopback addresses or Unix sockets")
            }
            if let listener = configuration.listeners.first(where: {
                !$0.trustedProxies.isEmpty && $0.services.contains(.messages)
            }) {
                section.report(
                    "`anonymousCaller` lets anyone send who reaches \(listener.address) through one of its `trustedProxies`; "
                        + "expected only listeners without them")
            }
            resolveSkills(of: &caller, section, configuration)
        }
    }

    static var callerTokensOption: ConfigurationOption<Self> {
        .optionalSection(
            "callerTokens", \.callerTokens, new: CallerTokensConfiguration(), reloads: true,
            [
                .secrets(
                    "signingKeys", \.signingSecrets, type: "secrets, 32 bytes or more each",
                    "for the access tokens issued to callers; the first signs, all verify. Must be the same on all replicas",
                    isRequired: true, example: "[{file: secrets/signing}]", read: readSigningKey),
                .value(
                    "lifetime", \.lifetime, .duration(.seconds(60) ... .seconds(86_400)), "of such a token"),
            ])
    }

    private static var callerOptions: [ConfigurationOption<CallerConfiguration>] {
        [
            .required("name", \.name, .name, "for metrics", example: "orders"),
            .optional(
                "id", \.id, .name,
                "identifies the caller in idempotency records: keep it when the name changes, or the caller's keys are forgotten and retries are sent again. `skillgate check --against OLD` warns about that",
                otherwise: "the `name`", example: "orders"),
            apiKeys(
                "apiKeys", \.keys,
                "several for rotation; 16 to 1024 visible ASCII characters each. `skillgate key` generates a key and its hash",
                example: "[{file: secrets/orders.example}]", isExampleShown: true),
            .optional(
                "clientID", \.clientID, .text("a client identifier of your choice"),
                "lets the caller obtain access tokens at `/auth/o2/token`, as Amazon's SDKs do", example: "orders"),
            .secret("clientSecret", \.clientSecret, "for that client ID", example: "secrets/orders-client"),
            .secret(
                "nextClientSecret", \.nextClientSecret, "valid, too: for rotation",
                example: "secrets/orders-client.next"),
            .optionalSection(
                "certificate", \.certificate, new: .init(),
                [
                    .optional(
                        "uri", \.uri, .visibleASCII("a URI such as spiffe://example.org/orders", type: "URI"),
                        "subject alternative name of the client certificate that identifies the caller; either this or `dns`",
                        example: "spiffe://example.org/orders"),
                    .optional(
                        "dns", \.dns, .visibleASCII("a DNS name", type: "DNS name"), "or this",
                        example: "orders.example.org"),
                ]),
            callerWebTokenOption,
            skillsOfCaller("for which it may send"),
            .values("regions", \.regions, .region, "to which it may send"),
            .optional(
                "discovery", \.discovery, .choice, "for messages of this caller, as `discovery`",
                otherwise: "the skill's", example: "probe"),
        ] + callerLimitOptions + [
            .value(
                "idempotencyKey", \.idempotencyKey, .choice,
                "`required`: a message without an idempotency key is refused"),
            keySources,
            .value(
                "contentWindow", \.contentWindow, .duration(.seconds(30) ... .seconds(86_400)),
                "with `content`: for how long an equal message to the same user is a duplicate"),
            .value(
                "unknownOutcome", \.unknownOutcome, .choice,
                "`resend`: a retry of a message with unknown outcome is sent: rather twice than not at all"),
            .values(
                "reportOnly", \.reportOnly, .choice,
                "rules of this caller that are not enforced yet: a request that breaks one is handled as if it had not, counted in `skillgate_requests_reported_total` and marked `wouldRefuse` in the logs. With `skills` or `regions` the caller is not restricted by them",
                example: "[rate, idempotencyKey]"),
        ]
    }

    /// Keys, or their hashes.
    static func apiKeys<Owner>(
        _ name: String, _ path: WritableKeyPath<Owner, [APIKeyDigest]>, _ help: String, example: String,
        isExampleShown: Bool = false
    ) -> ConfigurationOption<Owner> {
        .secrets(
            name, path, type: "secrets or `{sha256: HEX}`",
            schema: .one(
                of: ["file", "env", "sha256"].map { .mapping([$0: .text], required: [$0]) }),
            help, example: example, isExampleShown: isExampleShown,
            node: { Node.mapping(.init([(Node("sha256"), Node($0.hexadecimal.prefix(8) + "…"))])) }, read: readKey)
    }

    private static var keySources: ConfigurationOption<CallerConfiguration> {
        .elements(
            "idempotencyKeyFrom", \.idempotencyKeyFrom, type: "`field`, `{data: NAME}` or `content`",
            expected: "`field`, `{data: NAME}` or `content`",
            schema: .one(of: [.choice(["field", "content"]), .mapping(["data": .string], required: ["data"])]),
            "where keys come from, the first that has one: `Idempotency-Key`; the string in this member of `data`; the message itself, so that equal ones are duplicates for `contentWindow`",
            node: { source in
                switch source {
                case .data(let member): .mapping(.init([(Node("data"), Node(member))]))
                case .field, .content: Node(source.label.rawValue)
                }
            },
            text: { source in
                if case .data(let member) = source { "{data: \(member)}" } else { source.label.rawValue }
            },
            parse: { node in
                switch node.scalar?.string {
                case "field": return .field
                case "content": return .content
                default:
                    guard let mapping = node.mapping, mapping.count == 1, let member = mapping["data"]?.scalar?.string,
                        !member.isEmpty
                    else { return nil }
                    return .data(member: member)
                }
            })
    }

    private static func skillsOfCaller(_ help: String) -> ConfigurationOption<CallerConfiguration> {
        .values("skills", \.skillNames, .name, help, isRequired: true, example: "[weather]")
    }

    private static var callerLimitOptions: [ConfigurationOption<CallerConfiguration>] {
        [
            .optionalSection(
                "rate", \.rate, new: .init(),
                [
                    .required(
                        "perSecond", \.perSecond, .integer(1...1_000_000),
                        "limit on its requests; beyond that, 429 `caller-rate`", example: "50"),
                    .optional(
                        "burst", \.burst, .integer(1...1_000_000), "so many at once", otherwise: "`perSecond`",
                        example: "100"),
                    .value(
                        "scope", \.scope, .choice,
                        "`process`: each replica counts for itself. `deployment`: the limit is that of all replicas together; requires `idempotency.store: redis`"
                    ),
                ]
            ) { _, rate, _ in rate.burst = rate.burst ?? rate.perSecond },
            .optional(
                "maximumInFlight", \.maximumInFlight, .integer(1...1_000_000),
                "limit on its in-flight messages, in each process; beyond that, 429 `caller-in-flight`", example: "200"),
            .value(
                "weight", \.weight, .integer(1...1000),
                "its part, beside the weights of the others, of what Amazon takes of a skill while it answers 429"),
        ]
    }

    // MARK: Checks

    private static func check(_ section: ConfigurationSection, _ caller: inout CallerConfiguration, _ others: Self) {
        let reserved = ["anonymous", "none"]
        let names = others.namedCallers.map(\.name) + reserved
        if !caller.name.isEmpty && names.contains(caller.name) {
            section.report("the name `\(caller.name)` is taken", at: "name")
        }
        section.reportSharedID(caller.recordID, others.namedCallers.map(\.recordID) + ["anonymous"])
        checkClient(section, caller, others)
        checkCertificate(section, caller, others)
        checkWebToken(section, caller, others)
        reportShared(caller, in: section, others.namedCallers)
        if !["apiKeys", "clientID", "certificate", "token"].contains(where: section.has) {
            section.report(
                "`\(section.title)` has no credentials; expected `apiKeys`, `clientID`, `certificate` or `token`")
        }
        checkKeySources(section, caller, others)
        checkReportOnly(section, caller)
        resolveSkills(of: &caller, section, others)
    }

    /// A rule that is not there can neither be enforced nor reported.
    private static func checkReportOnly(_ section: ConfigurationSection, _ caller: CallerConfiguration) {
        if Set(caller.reportOnly).count < caller.reportOnly.count {
            section.report("`reportOnly` names a rule twice", at: "reportOnly")
        }
        for rule in caller.reportOnly {
            let missing: String? =
                switch rule {
                case .rate: caller.rate == nil ? "`rate`" : nil
                case .maximumInFlight: caller.maximumInFlight == nil ? "`maximumInFlight`" : nil
                case .idempotencyKey: caller.idempotencyKey == .required ? nil : "`idempotencyKey: required`"
                case .regions: Set(caller.regions).count == Region.allCases.count ? "`regions` that leave one out" : nil
                case .skills: nil
                }
            guard let missing else { continue }
            section.report(
                "`reportOnly` names `\(rule.rawValue)`, and the caller has no such rule; expected \(missing) beside it",
                at: "reportOnly")
        }
    }

    private static func checkKeySources(
        _ section: ConfigurationSection, _ caller: CallerConfiguration, _ configuration: Self
    ) {
        let sources = caller.idempotencyKeyFrom
        if sources.isEmpty && section.has("idempotencyKeyFrom") {
            section.report(
                "`idempotencyKeyFrom` names no source, so that no message has a key", at: "idempotencyKeyFrom")
        }
        if Set(sources).count < sources.count {
            section.report("`idempotencyKeyFrom` names a source twice", at: "idempotencyKeyFrom")
        }
        if let member = configuration.skills.compactMap(\.receiptMember).first(where: {
            sources.contains(.data(member: $0))
        }) {
            section.report(
                "`idempotencyKeyFrom` names the member `\(member)`, which the gateway itself adds for a skill's receipts",
                at: "idempotencyKeyFrom")
        }
        if sources.dropLast().contains(.content) {
            section.report(
                "`idempotencyKeyFrom` names sources behind `content`, which always has a key; expected it last",
                at: "idempotencyKeyFrom")
        }
        guard sources.contains(.content) else {
            if caller.contentWindow != CallerConfiguration().contentWindow {
                section.reader.warn(
                    "`contentWindow` has no effect without `idempotencyKeyFrom: [content]`",
                    at: section.mark(of: "contentWindow"))
            }
            return
        }
        let lease = configuration.upstream.limits.lease
        if caller.contentWindow <= lease {
            section.report(
                "`contentWindow` is not longer than the time that a message may take (`upstream.deadline` and a margin): "
                    + "\(lease)", at: "contentWindow")
        }
    }

    private static func checkClient(
        _ section: ConfigurationSection, _ caller: CallerConfiguration, _ configuration: Self
    ) {
        guard section.has("clientID") else {
            for name in ["clientSecret", "nextClientSecret"] where section.has(name) {
                section.report("`\(name)` is given without `clientID`", at: name)
            }
            return
        }
        if configuration.callerTokens == nil {
            section.report("`clientID` requires `callerTokens.signingKeys`", at: "clientID")
        }
        if !section.has("clientSecret") { _ = section.requiredSecret("clientSecret") }
        for secret in [caller.clientSecret, caller.nextClientSecret].compactMap({ $0 }) where secret.utf8.count < 16 {
            section.report("a client secret has \(secret.utf8.count) bytes; expected at least 16", at: "clientSecret")
        }
    }

    private static func checkCertificate(
        _ section: ConfigurationSection, _ caller: CallerConfiguration, _ configuration: Self
    ) {
        guard let certificate = caller.certificate else { return }
        if (certificate.uri == nil) == (certificate.dns == nil) {
            section.report(
                "`certificate` requires exactly one name; expected {uri: …} or {dns: …}", at: "certificate")
        } else if !configuration.listeners.contains(where: { $0.tls?.clientCAFile != nil }) {
            section.report(
                "no listener requests client certificates; expected `tls.clientCAFile` in one", at: "certificate")
        }
    }

    /// What one caller shows to be itself, no other may show.
    private static func reportShared(
        _ caller: CallerConfiguration, in section: ConfigurationSection, _ others: [CallerConfiguration]
    ) {
        for other in others where other.name != caller.name {
            for _ in caller.keys.filter(other.keys.contains) {
                section.report("an API key of this caller also belongs to `\(other.name)`", at: "apiKeys")
            }
            if let id = caller.clientID, other.clientID == id {
                section.report("the client identifier also belongs to `\(other.name)`", at: "clientID")
            }
            if let name = caller.certificateName, other.certificateName == name {
                section.report("the certificate also belongs to `\(other.name)`", at: "certificate")
            }
            if let token = caller.token, other.token == token {
                section.report("the tokens of this subject also belong to `\(other.name)`", at: "token")
            }
        }
    }

    private static func resolveSkills(
        of caller: inout CallerConfiguration, _ section: ConfigurationSection, _ configuration: Self
    ) {
        let names = configuration.skills.map(\.name)
        caller.skills = caller.skillNames.compactMap { name in
            if let index = names.firstIndex(of: name) { return index }
            let hint = ConfigurationReader.hint(name, names)
            section.reader.report("there is no skill `\(name)`\(hint)", at: section.mark(of: name, in: "skills"))
            return nil
        }
    }

    // MARK: Secrets

    static func readSigningKey(_ reference: ConfigurationSection) -> String? {
        guard let secret = reference.referencedSecret() else { return nil }
        guard secret.utf8.count >= 32 else {
            reference.report("the signing key has \(secret.utf8.count) bytes; expected at least 32 random bytes")
            return nil
        }
        return secret
    }

    private static func readKey(_ key: ConfigurationSection) -> APIKeyDigest? {
        let hash = key.value("sha256", .keyDigest)
        if key.has("sha256") { return hash }
        guard let text = key.referencedSecret() else { return nil }
        guard (16...1024).contains(text.utf8.count), text.isVisibleASCII else {
            key.report("the API key is not 16 to 1024 visible ASCII characters")
            return nil
        }
        guard !CallerTokens.isToken(text) else {
            key.report(
                "the API key starts with `sgt_`, as the gateway's own access tokens do; expected another key")
            return nil
        }
        return APIKeyDigest(of: text)
    }
}

extension ConfigurationValue where Value == APIKeyDigest {
    fileprivate static var keyDigest: Self {
        Self(
            type: "hash", expected: "64 hexadecimal digits", parse: { APIKeyDigest(hexadecimal: $0) },
            text: \.hexadecimal)
    }
}

extension APIKeyDigest {
    init?(hexadecimal text: String) {
        let digits = text.compactMap(\.hexDigitValue)
        guard text.utf8.count == 64, digits.count == 64 else { return nil }
        self.init(digest: stride(from: 0, to: 64, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) })
    }
}
