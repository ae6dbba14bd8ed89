import NIOCore

/// Who is calling.
package final class CallerDirectory: Sendable {
    /// A caller and the ways in which it shows who it is.
    package struct Entry: Sendable {
        package var caller: Caller
        package var keys: [APIKeyDigest]
        /// For buying access tokens; nil if it may not.
        package var client: ClientEntry?
        /// `uri:…` or `dns:…`, as in `Peer.certificateNames`.
        package var certificateNames: [String]
        /// Of the JSON Web Tokens that others issue to it.
        package var webTokens: [WebTokenIdentity]

        package init(
            _ caller: Caller, keys: [APIKeyDigest] = [], client: ClientEntry? = nil, certificateNames: [String] = [],
            webTokens: [WebTokenIdentity] = []
        ) {
            self.caller = caller
            self.keys = keys
            self.client = client
            self.certificateNames = certificateNames
            self.webTokens = webTokens
        }
    }

    /// An OAuth client: whoever has one of the secrets.
    package struct ClientEntry: Sendable {
        package var clientID: String
        package var secrets: [APIKeyDigest]

        package init(clientID: String, secrets: [APIKeyDigest]) {
            self.clientID = clientID
            self.secrets = secrets
        }
    }

    /// How a caller showed who it is.
    package enum Method: String, CaseIterable, Sendable {
        case apiKey = "api-key"
        case accessToken = "access-token"
        case clientSecret = "client-secret"
        case webToken = "jwt"
        case certificate
        case anonymous
    }

    package let callers: [Caller]
    let tokens: CallerTokens
    /// Nil: no JSON Web Token is valid.
    let webTokens: (any WebTokenVerifier)?
    /// Whether a caller's rate counts over all replicas.
    let sharesRates: Bool
    private let callersByKey: [APIKeyDigest: Int]
    private let callersByClient: [CallerTokens.Client: Int]
    private let callersByCertificate: [String: Int]
    private let callersByWebToken: [WebTokenIdentity: Int]
    private let clients: [String: (caller: Int, secrets: [APIKeyDigest])]
    /// Stands for requests without any credentials; a sidecar's own back end.
    private let anonymousCaller: Int?

    /// - Parameters:
    ///   - entries: no key, client or name may belong to two callers.
    ///   - anonymousCaller: its place in `entries`.
    package init(
        _ entries: [Entry], anonymousCaller: Int? = nil,
        tokens: CallerTokens = CallerTokens(signingSecrets: [], lifetimeSeconds: 3600),
        webTokens: (any WebTokenVerifier)? = nil
    ) {
        self.webTokens = webTokens
        callers = entries.map(\.caller)
        sharesRates = callers.contains { $0.sharedRate != nil }
        self.anonymousCaller = anonymousCaller
        self.tokens = tokens
        var callersByKey: [APIKeyDigest: Int] = [:]
        var callersByClient: [CallerTokens.Client: Int] = [:]
        var callersByCertificate: [String: Int] = [:]
        var callersByWebToken: [WebTokenIdentity: Int] = [:]
        var clients: [String: (caller: Int, secrets: [APIKeyDigest])] = [:]
        for (index, entry) in entries.enumerated() {
            for key in entry.keys { callersByKey[key] = index }
            for name in entry.certificateNames { callersByCertificate[name] = index }
            for identity in entry.webTokens { callersByWebToken[identity] = index }
            guard let client = entry.client else { continue }
            clients[client.clientID] = (index, client.secrets)
            for secret in client.secrets {
                callersByClient[CallerTokens.Client(clientID: client.clientID, secret: secret)] = index
            }
        }
        self.callersByKey = callersByKey
        self.callersByClient = callersByClient
        self.callersByCertificate = callersByCertificate
        self.callersByWebToken = callersByWebToken
        self.clients = clients
    }

    typealias Authenticated = (caller: Caller, method: Method)

    /// What a request's credentials show. Passed along with every request, so it is kept small: the error of the few that are
    /// refused is stored apart.
    enum Shown {
        case caller(Authenticated)
        indirect case nobody(CallerError)

        init(_ result: Result<Authenticated, CallerError>) {
            switch result {
            case .success(let authenticated): self = .caller(authenticated)
            case .failure(let error): self = .nobody(error)
            }
        }

        func get() throws(CallerError) -> Authenticated {
            switch self {
            case .caller(let authenticated): authenticated
            case .nobody(let error): throw error
            }
        }
    }

    /// Whose the credentials are, if the connection had the same before; nil if that has to be found out.
    func known(_ request: InboundRequest, from peer: Peer, clock: () -> UnixTimestamp) -> Authenticated? {
        guard let authorization = request.head.authorization else { return nil }
        return peer.lastCaller(with: request.headBytes, authorization, in: self, clock: clock)
    }

    /// Whoever the request's credentials belong to. A certificate stands for whoever sends no field.
    ///
    /// Every failure looks the same from outside. JSON Web Tokens are not looked at here.
    func authenticate(
        _ request: InboundRequest, from peer: Peer, clock: () -> UnixTimestamp
    ) throws(CallerError) -> Authenticated {
        guard let authorization = request.head.authorization else {
            for name in peer.certificateNames {
                if let index = callersByCertificate[name] { return (callers[index], .certificate) }
            }
            guard let anonymousCaller else { throw Self.notAuthenticated }
            if peer.isOverNetwork { try AnonymousRequest.refuseFromPage(request) }
            return (callers[anonymousCaller], .anonymous)
        }
        let bytes = request.headBytes
        guard let token = AuthorizationField.bearerToken(bytes.readableBytesUInt8Span, authorization) else {
            throw Self.notAuthenticated
        }
        if CallerTokens.isToken(bytes.readableBytesUInt8Span, token) {
            guard let client = tokens.client(of: bytes.readableBytesUInt8Span, token, now: clock().seconds),
                let index = callersByClient[client]
            else { throw Self.notAuthenticated }
            return (callers[index], .accessToken)
        }
        let digest = Self.digest(bytes, token)
        guard let index = callersByKey[digest] else { throw Self.notAuthenticated }
        peer.remember(Peer.Authentication(bytes, authorization, callers[index], .apiKey, in: self))
        return (callers[index], .apiKey)
    }

    /// The request's JSON Web Token, if it has what looks like one: three parts (RFC 7515 section 3.1).
    func webToken(_ request: InboundRequest) -> (text: [UInt8], digest: APIKeyDigest)? {
        guard webTokens != nil, let authorization = request.head.authorization else { return nil }
        let head = request.headBytes
        let bytes = head.readableBytesUInt8Span
        guard let token = AuthorizationField.bearerToken(bytes, authorization),
            token.count <= WebTokenAuthentication.limitBytes,
            !CallerTokens.isToken(bytes, token)
        else { return nil }
        var periods = 0
        for index in token where bytes[index] == UInt8(ascii: ".") { periods += 1 }
        guard periods == 2 else { return nil }
        let digest = Self.digest(head, token)
        guard callersByKey[digest] == nil,
            let text = head.getBytes(at: head.readerIndex + token.lowerBound, length: token.count)
        else { return nil }
        return (text, digest)
    }

    /// Remembers for the next request of the connection what a JSON Web Token was found to be.
    func authenticated(
        _ outcome: WebTokenAuthentication.Outcome, by request: InboundRequest, from peer: Peer
    ) throws(CallerError) -> Authenticated {
        guard let caller = outcome.caller, let authorization = request.head.authorization else {
            throw Self.notAuthenticated
        }
        peer.remember(
            Peer.Authentication(
                request.headBytes, authorization, caller, .webToken, in: self,
                until: (outcome.until, outcome.generation)))
        return (caller, .webToken)
    }

    func caller(of identity: WebTokenIdentity) -> Caller? { callersByWebToken[identity].map { callers[$0] } }

    private static func digest(_ bytes: ByteBuffer, _ token: Range<Int>) -> APIKeyDigest {
        bytes.withUnsafeReadableBytes { bytes in APIKeyDigest(of: .init(rebasing: bytes[token])) }
    }

    private static var notAuthenticated: CallerError {
        CallerError(
            .notAuthenticated,
            "expected field `Authorization` with `Bearer` and a valid API key or token; it is missing, malformed, unknown or "
                + "expired")
    }

    /// The caller whose client identifier and secret are among these readings of a request.
    func authenticate(_ readings: [AccessTokenRequest.Credentials]) throws(CallerError) -> (Caller, CallerTokens.Client)
    {
        for reading in readings {
            // The secret is hashed and compared, known client or not: the time tells nothing.
            let client = clients[reading.clientID]
            let digest = APIKeyDigest(of: reading.secret)
            var isKnown = false
            for secret in client?.secrets ?? [APIKeyDigest(of: "")] where secret == digest { isKnown = true }
            guard isKnown, let client else { continue }
            return (callers[client.caller], CallerTokens.Client(clientID: reading.clientID, secret: digest))
        }
        throw CallerError(.clientNotAuthenticated, "unknown client identifier or wrong secret")
    }
}
