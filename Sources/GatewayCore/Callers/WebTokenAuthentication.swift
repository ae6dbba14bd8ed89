import NIOCore

/// Finds the callers of JSON Web Tokens, on one event loop.
///
/// Verifying a signature takes as long as forwarding several messages. Each token is therefore verified once, and only so many
/// unverified ones are looked at from one place.
final class WebTokenAuthentication {
    /// Longer ones are not looked at.
    static let limitBytes = 8192

    private let eventLoop: any EventLoop
    private let unverified: NetworkThrottle
    private var verified = VerifiedWebTokens()
    /// Where `verified` were found valid. Another configuration may have other issuers and callers; other keys may lack one.
    private var directory: CallerDirectory?
    private var generation = 0

    /// - Parameter unverified: shared by all event loops.
    init(on eventLoop: any EventLoop, unverified: NetworkThrottle) {
        self.eventLoop = eventLoop
        self.unverified = unverified
    }

    /// Whose a token is, and until when (Unix time in seconds).
    func caller(
        of token: [UInt8], _ digest: APIKeyDigest, from peer: Peer, in directory: CallerDirectory, now: Int
    ) throws(CallerError) -> (caller: Caller, until: Int)? {
        guard let verifier = directory.webTokens else { return nil }
        renew(directory, verifier)
        if let (index, until) = verified.caller(of: digest, now: now) { return (directory.callers[index], until) }
        if let seconds = unverified.retryAfter(of: peer.place, now: eventLoop.now) {
            throw CallerError(
                .tooManyUnverifiedTokens, "too many new JSON Web Tokens come from this network",
                retryAfter: .seconds(seconds))
        }
        switch verifier.verify(token, now: now) {
        case .valid(let identity, let until):
            guard let index = directory.caller(of: identity) else { return nil }
            verified.insert(digest, of: index, until: until)
            return (directory.callers[index], until)
        case .invalid: return nil
        case .keyUnavailable(let retryAfter):
            throw CallerError(
                .issuerUnavailable, "the issuer of the JSON Web Token cannot be asked for its keys",
                retryAfter: retryAfter)
        }
    }

    /// Whether a token was found valid before.
    func isKnown(_ digest: APIKeyDigest, in directory: CallerDirectory, now: Int) -> Bool {
        guard let verifier = directory.webTokens else { return false }
        renew(directory, verifier)
        return verified.caller(of: digest, now: now) != nil
    }

    private func renew(_ directory: CallerDirectory, _ verifier: any WebTokenVerifier) {
        let generation = verifier.generation
        guard self.directory !== directory || self.generation != generation else { return }
        verified = VerifiedWebTokens()
        (self.directory, self.generation) = (directory, generation)
    }
}
