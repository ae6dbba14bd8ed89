import GatewayCore
import WebTokens

extension GatewayConfiguration {
    /// Who issues JSON Web Tokens to callers.
    struct IssuerConfiguration: Equatable, Sendable {
        /// Where its keys are.
        enum KeySource: Equatable, Sendable {
            case url(String)
            case file(String)
        }

        var name = ""
        var issuer = ""
        var jwks = KeySource.file("")
        /// What the file holds; nil where keys are fetched.
        var keyFileContent: String?
        var caFile: String?
        var bearerTokenFile: String?
        var audiences: [String] = []
        var algorithms: [SigningAlgorithm] = [.rs256, .es256]
    }

    /// The JSON Web Tokens of a caller.
    struct CallerWebToken: Equatable, Sendable {
        /// By the name of the issuer.
        var issuer = ""
        var subject = ""
    }

    static var issuersOption: ConfigurationOption<Self> {
        .list(
            "issuers", \.issuers, new: IssuerConfiguration(), reloads: true,
            [
                .required("name", \.name, .name, "for `callers[].token` and metrics", example: "cluster"),
                .required(
                    "issuer", \.issuer, .visibleASCII("what stands in the claim `iss`", type: "text"),
                    "what stands in `iss` of its tokens, character by character",
                    example: "https://kubernetes.default.svc.cluster.local"),
                .required(
                    "jwks", \.jwks, .keySource,
                    "its keys, as a JSON Web Key Set: a URL from which they are fetched, or the path of a file",
                    example: "https://kubernetes.default.svc/openid/v1/jwks"),
                .file(
                    "caFile", \.caFile, "a PEM file", "certificates trusted for that URL, besides the system's",
                    example: "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"),
                .file(
                    "bearerTokenFile", \.bearerTokenFile, "a file", "a token that is sent to that URL, read each time",
                    example: "/var/run/secrets/kubernetes.io/serviceaccount/token"),
                .values(
                    "audiences", \.audiences, .visibleASCII("what stands in the claim `aud`", type: "text"),
                    "a token is accepted if one of them stands in its `aud`", isRequired: true, example: "[skillgate]"),
                .values(
                    "algorithms", \.algorithms, .choice,
                    "by which tokens may be signed, whatever they say themselves"),
            ], check: check(_:_:_:))
    }

    private static func check(_ section: ConfigurationSection, _ issuer: inout IssuerConfiguration, _ others: Self) {
        if !issuer.name.isEmpty, others.issuers.contains(where: { $0.name == issuer.name }) {
            section.report("there are two issuers named `\(issuer.name)`", at: "name")
        }
        if let other = others.issuers.first(where: { $0.issuer == issuer.issuer && !$0.issuer.isEmpty }) {
            section.report("the issuer is that of `\(other.name)`, too; expected another", at: "issuer")
        }
        if section.has("audiences"), issuer.audiences.isEmpty {
            section.report("`audiences` is empty, so that no token would be accepted", at: "audiences")
        }
        if issuer.algorithms.isEmpty {
            section.report("`algorithms` is empty, so that no token would be accepted", at: "algorithms")
        }
        switch issuer.jwks {
        case .file(""): break  // missing or wrong, which has been said
        case .file(let file):
            for name in ["caFile", "bearerTokenFile"] where section.has(name) {
                section.report("`\(name)` is for keys that are fetched, and `jwks` is a file", at: name)
            }
            issuer.keyFileContent = keySet(file, issuer.algorithms, section)
        case .url:
            if let file = issuer.caFile {
                section.checkHere(at: "caFile") {
                    TextFile.reasonNotReadable(file).map { "`caFile`: cannot read \(file): \($0)" }
                }
            }
            if let file = issuer.bearerTokenFile {
                section.checkHere(at: "bearerTokenFile") {
                    TextFile.reasonNotReadable(file).map { "`bearerTokenFile`: cannot read \(file): \($0)" }
                }
            }
        }
    }

    private static func keySet(
        _ file: String, _ algorithms: [SigningAlgorithm], _ section: ConfigurationSection
    ) -> String? {
        let path = section.reader.path(file)
        section.reader.watch(path)
        do {
            let text = try TextFile.read(path, limitBytes: KeySet.limitBytes)
            if let mistake = KeySet.mistake(in: Array(text.utf8), algorithms: algorithms) {
                section.report("`jwks`: \(path): \(mistake)", at: "jwks")
            }
            return text
        } catch {
            section.report("`jwks`: \(error.description)", at: "jwks")
            return nil
        }
    }

    /// The option of a caller.
    static var callerWebTokenOption: ConfigurationOption<CallerConfiguration> {
        .optionalSection(
            "token", \.token, new: CallerWebToken(),
            [
                .required("issuer", \.issuer, .name, "the `name` of an issuer in `issuers`", example: "cluster"),
                .required(
                    "subject", \.subject,
                    .visibleASCII("what stands in the claim `sub`", type: "text"),
                    "what stands in `sub` of the JSON Web Tokens that identify the caller, character by character",
                    example: "system:serviceaccount:shop:orders"),
            ])
    }

    /// What the tokens of a caller say.
    func webTokenIdentity(of caller: CallerConfiguration) -> WebTokenIdentity? {
        guard let token = caller.token, let issuer = issuers.first(where: { $0.name == token.issuer }) else {
            return nil
        }
        return WebTokenIdentity(issuer: issuer.issuer, subject: token.subject)
    }

    static func checkWebToken(
        _ section: ConfigurationSection, _ caller: CallerConfiguration, _ configuration: Self
    ) {
        guard let token = caller.token, !token.issuer.isEmpty else { return }
        let names = configuration.issuers.map(\.name)
        guard !names.contains(token.issuer) else { return }
        section.report(
            "there is no issuer `\(token.issuer)`\(ConfigurationReader.hint(token.issuer, names)); expected the `name` of one in "
                + "`issuers`", at: "token")
    }
}

extension ConfigurationValue where Value == GatewayConfiguration.IssuerConfiguration.KeySource {
    fileprivate static var keySource: Self {
        let url = ConfigurationValue<String>.endpointURL
        return Self(
            type: "URL or path", expected: "\(url.expected), or the path of a file", schema: .text,
            parse: { text in
                if text.contains("://") { return url.parse(text).map { .url($0) } }
                return text.isEmpty ? nil : .file(text)
            },
            text: { source in
                switch source {
                case .url(let url): url
                case .file(let file): file.isEmpty ? nil : file
                }
            })
    }
}
