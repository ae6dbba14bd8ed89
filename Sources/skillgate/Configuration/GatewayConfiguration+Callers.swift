import GatewayCore
import GatewayServer
import Yams

extension GatewayConfiguration {
    private enum KeyPolicy: String, CaseIterable { case optional, required }

    /// What must belong to one caller only, and to whom it does.
    private struct Owners {
        private var owners: [String: String] = [:]

        /// The caller that has it already.
        mutating func take(_ what: String, for caller: String) -> String? {
            defer { owners[what] = caller }
            return owners[what]
        }
    }

    mutating func readCallers(_ root: ConfigurationSection, _ secrets: SecretReader) {
        readCallerTokens(root, secrets)
        var names: Set<String> = ["anonymous", "none"]
        var owners = Owners()
        var ids: Set<String> = ["anonymous"]
        callers = root.sections("callers") { section in
            let name = section.required("name", .name)
            if let name, !names.insert(name).inserted {
                section.report("the name `\(name)` is taken", at: "name")
            }
            var caller = CallerConfiguration(
                name: name ?? "", keys: readKeys(section, secrets), skills: readSkillNames(section))
            caller.id = section.value("id", .name)
            Self.report(caller.recordID, of: section, in: &ids)
            caller.client = readClient(section, secrets)
            caller.certificateName = readCertificateName(section)
            reportShared(caller, in: section, &owners)
            if !["apiKeys", "clientID", "certificate"].contains(where: section.has) {
                section.report(
                    "`\(section.title)` has no credentials; expected `apiKeys`, `clientID` or `certificate`")
            }
            if section.has("regions") {
                caller.regions = Set(section.values("regions", .region).map(\.value))
            }
            caller.limits = readLimits(section)
            caller.requiresIdempotencyKey =
                section.value("idempotencyKey", ConfigurationValue<KeyPolicy>.choice) == .required
            caller.unknownOutcome = section.value("unknownOutcome", .choice, default: caller.unknownOutcome)
            return caller
        }
        readAnonymousCaller(root)
        if callers.isEmpty && !root.has("callers") {
            root.report("`callers` is missing; expected a list of at least one caller, or `anonymousCaller`")
        }
    }

    /// Two of one id would share their idempotency keys.
    static func report(_ id: String, of section: ConfigurationSection, in ids: inout Set<String>) {
        guard !ids.insert(id).inserted, section.has("id") || section.has("name") else { return }
        section.report(
            "the id `\(id)` is taken by the `id` or `name` of another; both would share idempotency records",
            at: section.has("id") ? "id" : "name")
    }

    private func reportShared(_ caller: CallerConfiguration, in section: ConfigurationSection, _ owners: inout Owners) {
        for key in caller.keys {
            if let owner = owners.take("key \(key.hexadecimal)", for: caller.name), owner != caller.name {
                section.report("an API key of this caller also belongs to `\(owner)`", at: "apiKeys")
            }
        }
        if let id = caller.client?.clientID, let owner = owners.take("client \(id)", for: caller.name) {
            section.report("the client identifier also belongs to `\(owner)`", at: "clientID")
        }
        if let name = caller.certificateName, let owner = owners.take("certificate \(name)", for: caller.name) {
            section.report("the certificate also belongs to `\(owner)`", at: "certificate")
        }
    }

    private mutating func readCallerTokens(_ root: ConfigurationSection, _ secrets: SecretReader) {
        callerTokens = root.optionalSection("callerTokens") { section in
            var tokens = CallerTokensConfiguration()
            tokens.lifetime = section.value(
                "lifetime", .duration(.seconds(60) ... .seconds(86_400)), default: tokens.lifetime)
            if !section.has("signingKeys") {
                section.report("`signingKeys` is missing in `callerTokens`; expected a list of {file: …} or {env: …}")
            }
            tokens.signingSecrets = section.sections("signingKeys") { key in
                guard let secret = secrets.read(key) else { return nil }
                guard secret.utf8.count >= 32 else {
                    key.report("the signing key has \(secret.utf8.count) bytes; expected at least 32 random bytes")
                    return nil
                }
                return secret
            }
            return tokens
        }
    }

    private func readClient(
        _ section: ConfigurationSection, _ secrets: SecretReader
    ) -> CallerDirectory.ClientEntry? {
        guard let clientID = section.value("clientID", .text("a client identifier of your choice")) else {
            for name in ["clientSecret", "nextClientSecret"] where section.has(name) {
                section.report("`\(name)` is given without `clientID`", at: name)
            }
            return nil
        }
        if callerTokens == nil {
            section.report("`clientID` requires `callerTokens.signingKeys`", at: "clientID")
        }
        let secrets = [
            secrets.required("clientSecret", in: section), secrets.optional("nextClientSecret", in: section),
        ].compactMap { $0 }
        for secret in secrets where secret.utf8.count < 16 {
            section.report("a client secret has \(secret.utf8.count) bytes; expected at least 16", at: "clientSecret")
        }
        return CallerDirectory.ClientEntry(clientID: clientID, secrets: secrets.map { APIKeyDigest(of: $0) })
    }

    /// As in `Peer.certificateNames`.
    private func readCertificateName(_ section: ConfigurationSection) -> String? {
        section.optionalSection("certificate") { certificate -> String? in
            let uri = certificate.value("uri", .visibleASCII("a URI such as spiffe://example.org/orders"))
            let dns = certificate.value("dns", .visibleASCII("a DNS name"))
            guard (uri == nil) != (dns == nil) else {
                certificate.report("`certificate` requires exactly one name; expected {uri: …} or {dns: …}")
                return nil
            }
            if !listeners.contains(where: { $0.tls?.clientCAFile != nil }) {
                certificate.report("no listener requests client certificates; expected `tls.clientCAFile` in one")
            }
            return uri.map { "uri:" + $0 } ?? dns.map { "dns:" + $0.lowercased() }
        }
    }

    private func readLimits(_ section: ConfigurationSection) -> CallerLimits {
        var limits = CallerLimits()
        limits.rate = section.optionalSection("rate") { rate -> RateLimit? in
            let perSecond = rate.required("perSecond", .integer(1...1_000_000))
            let burst = rate.value("burst", .integer(1...1_000_000))
            return perSecond.map { RateLimit(perSecond: $0, burst: burst ?? $0) }
        }
        limits.maximumInFlight = section.value("maximumInFlight", .integer(1...1_000_000))
        return limits
    }

    private mutating func readAnonymousCaller(_ root: ConfigurationSection) {
        root.optionalSection("anonymousCaller") { section in
            if let listener = listeners.first(where: { !$0.address.isLocal }) {
                section.report(
                    "`anonymousCaller` lets anyone who can reach \(listener.address) send; expected "
                        + "only listeners on loopback addresses or Unix sockets")
            }
            anonymousCaller = callers.count
            var caller = CallerConfiguration(name: "anonymous", keys: [], skills: readSkillNames(section))
            caller.limits = readLimits(section)
            callers.append(caller)
        }
    }

    private func readSkillNames(_ section: ConfigurationSection) -> [Int] {
        guard section.has("skills") else {
            section.report("`skills` is missing in `\(section.title)`; expected a list of skill names")
            return []
        }
        return section.values("skills", .name).compactMap { name, mark in
            guard let index = skills.firstIndex(where: { $0.name == name }) else {
                let hint = ConfigurationReader.hint(name, skills.map(\.name))
                section.reader.report("there is no skill `\(name)`\(hint)", at: mark)
                return nil
            }
            return index
        }
    }

    private func readKeys(_ section: ConfigurationSection, _ secrets: SecretReader) -> [APIKeyDigest] {
        section.sections("apiKeys") { key in
            let hash = key.value(
                "sha256", .init(expected: "64 hexadecimal digits") { APIKeyDigest(hexadecimal: $0) })
            if key.has("sha256") { return hash }
            guard let text = secrets.read(key) else { return nil }
            guard (16...1024).contains(text.utf8.count), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
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
}

extension APIKeyDigest {
    init?(hexadecimal text: String) {
        let digits = text.compactMap(\.hexDigitValue)
        guard text.utf8.count == 64, digits.count == 64 else { return nil }
        self.init(digest: stride(from: 0, to: 64, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) })
    }
}
