import GatewayCore
import Logging
import NIOCore
import TokenEndpointClient
import WebTokens

/// The issuers of callers' JSON Web Tokens. Their keys are kept when another configuration is loaded.
struct KnownIssuers: Sendable {
    typealias Configuration = GatewayConfiguration.IssuerConfiguration

    private struct Known: Sendable {
        var configuration: Configuration
        var keys: IssuerKeys
    }

    /// What has to be done, besides, when these take the place of those before.
    struct Changes {
        var added: [(name: String, keys: IssuerKeys)] = []
        var removed: [IssuerKeys] = []
    }

    /// Of all issuers there ever were: whoever compares two of them compares their keys.
    private let generation = KeyGeneration()
    private var known: [Known] = []
    /// Nil where there are no issuers. The same for as long as they are: what it found valid is remembered.
    private(set) var verifier: IssuedTokens?

    /// From here on, keys are fetched.
    func start() {
        for issuer in known { issuer.keys.start() }
    }

    /// From here on, none is.
    func stop() {
        for issuer in known { issuer.keys.stop() }
    }

    var statistics: [(issuer: String, statistics: IssuerStatistics)] {
        known.map { ($0.configuration.name, $0.keys.statistics()) }
    }

    /// Takes the issuers of a configuration.
    mutating func take(
        _ configuration: GatewayConfiguration, controlLoop: any EventLoop, _ logger: Logger
    ) async throws(KeySet.ReadingError) -> Changes {
        var changes = Changes()
        var left = known
        let configurations = known.map(\.configuration)
        known = []
        for issuer in configuration.issuers {
            if let index = left.firstIndex(where: { $0.configuration.hasSameKeys(as: issuer) }) {
                known.append(Known(configuration: issuer, keys: left.remove(at: index).keys))
                continue
            }
            let keys = try await keys(of: issuer, configuration.upstream.proxy, controlLoop, logger)
            known.append(Known(configuration: issuer, keys: keys))
            changes.added.append((issuer.name, keys))
        }
        changes.removed = left.map(\.keys)
        if configurations != configuration.issuers { verifier = newVerifier }
        return changes
    }

    private var newVerifier: IssuedTokens? {
        guard !known.isEmpty else { return nil }
        return IssuedTokens(
            known.map {
                IssuedTokens.Issuer(
                    issuer: $0.configuration.issuer, audiences: Set($0.configuration.audiences), keys: $0.keys)
            }, generation: generation)
    }

    private func keys(
        of issuer: Configuration, _ proxy: GatewayConfiguration.Proxy, _ controlLoop: any EventLoop, _ logger: Logger
    ) async throws(KeySet.ReadingError) -> IssuerKeys {
        switch issuer.jwks {
        case .file:
            let set = try await KeySet(Array((issuer.keyFileContent ?? "").utf8), algorithms: issuer.algorithms)
            return IssuerKeys(
                set, algorithms: issuer.algorithms, fetch: nil, eventLoop: controlLoop, generation: generation)
        case .url(let url):
            let fetch = KeyFetch(url, of: issuer, proxy)
            return IssuerKeys(
                algorithms: issuer.algorithms, fetch: { $0.makeFutureWithTask { try await fetch.perform() } },
                eventLoop: controlLoop,
                generation: generation,
                onFailure: { detail in
                    logger.warning(
                        "fetching an issuer's keys failed",
                        metadata: ["gateway.issuer": "\(issuer.name)", "gateway.issuer.detail": "\(detail)"])
                })
        }
    }
}

extension GatewayConfiguration.IssuerConfiguration {
    /// Whether the keys of the one do for the other.
    fileprivate func hasSameKeys(as other: Self) -> Bool {
        var other = other
        (other.issuer, other.audiences) = (issuer, audiences)
        return self == other
    }
}

/// Gets the keys of an issuer.
struct KeyFetch: Sendable {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    let url: String
    let issuer: GatewayConfiguration.IssuerConfiguration
    /// The URL of the proxy that it goes through; nil: none.
    let proxy: String?

    init(_ url: String, of issuer: GatewayConfiguration.IssuerConfiguration, _ proxy: GatewayConfiguration.Proxy) {
        self.url = url
        self.issuer = issuer
        self.proxy = proxy.url(for: url)
    }

    func perform() async throws -> KeySet {
        var transfer = HTTPTransfer(
            "GET", url,
            // Kubernetes answers 406 to whoever takes `application/json` alone.
            fields: [("Accept", "application/jwk-set+json, application/json"), ("User-Agent", Build.userAgent)])
        transfer.contentLimitBytes = KeySet.limitBytes
        transfer.purpose = .keys
        transfer.caFile = issuer.caFile
        transfer.proxy = proxy
        if let file = issuer.bearerTokenFile {
            let token = try TextFile.readSecret(file)
            guard !token.isEmpty, token.isVisibleASCII else {
                throw Failure(description: "\(file) holds no token; expected one line of visible ASCII characters")
            }
            transfer.fields.append(("Authorization", "Bearer \(token)"))
        }
        let response = try await transfer.perform()
        guard response.status == 200 else { throw Failure(description: "status \(response.status)") }
        return try await KeySet(response.content, algorithms: issuer.algorithms)
    }
}
