package import GatewayCore
package import NIOCore

/// Verifies the JSON Web Tokens of the issuers that are configured.
package final class IssuedTokens: WebTokenVerifier {
    package struct Issuer: Sendable {
        /// What stands in `iss`.
        package var issuer: String
        /// One of which has to stand in `aud`.
        package var audiences: Set<String>
        package var keys: IssuerKeys

        package init(issuer: String, audiences: Set<String>, keys: IssuerKeys) {
            self.issuer = issuer
            self.audiences = audiences
            self.keys = keys
        }
    }

    /// So much may clocks differ, in seconds.
    static let leeway = 30

    private let issuers: [String: Issuer]
    private let keyGeneration: KeyGeneration

    /// - Parameter generation: that of all issuers' keys.
    package init(_ issuers: [Issuer], generation: KeyGeneration) {
        self.issuers = Dictionary(issuers.map { ($0.issuer, $0) }, uniquingKeysWith: { first, _ in first })
        keyGeneration = generation
    }

    package var generation: Int { keyGeneration.current }

    package func verify(_ text: [UInt8], now: Int, on eventLoop: any EventLoop) -> Eventual<WebTokenVerdict> {
        guard let token = WebToken(text), let issuer = issuers[token.claims.issuer] else {
            return .now(Self.invalid(text))
        }
        switch issuer.keys.key(token.signature.keyName, on: eventLoop) {
        case .now(let lookup): return .now(Self.verdict(lookup, text, token, issuer, now: now))
        case .later(let lookup):
            return .later(lookup.map { Self.verdict($0, text, token, issuer, now: now) })
        }
    }

    private static func verdict(
        _ lookup: IssuerKeys.Lookup, _ text: [UInt8], _ token: WebToken, _ issuer: Issuer, now: Int
    ) -> WebTokenVerdict {
        switch lookup {
        case .found(let key):
            // First: whether the claims would do is not told to whoever made them up.
            guard let isSigned = token.signature.isMade(with: key) else { return invalid(text) }
            return verdict(isSigned, token.claims, issuer, now: now)
        case .none: return invalid(text)
        case .unavailable(let retryAfter): return .keyUnavailable(retryAfter: retryAfter)
        }
    }

    private static func verdict(
        _ isSigned: Bool, _ claims: WebToken.Claims, _ issuer: Issuer, now: Int
    ) -> WebTokenVerdict {
        guard isSigned, !issuer.audiences.isDisjoint(with: claims.audiences),
            // No clock comes near these bounds, and none of the numbers beyond them fits.
            let expires = Int(exactly: min(max(claims.expires, 0), 1e15).rounded(.up)), now < expires + leeway,
            claims.notBefore.map({ $0 <= Double(now + leeway) }) ?? true
        else { return .invalid }
        return .valid(WebTokenIdentity(issuer: claims.issuer, subject: claims.subject), until: expires + leeway)
    }

    /// Takes about as long as a signature that was looked at.
    private static func invalid(_ text: [UInt8]) -> WebTokenVerdict {
        Decoy.verify(text)
        return .invalid
    }
}
