import NIOCore
import Synchronization

/// What event loops share to find the callers of JSON Web Tokens.
package final class SharedWebTokens: Sendable {
    /// Counts tokens from one place that were not found valid.
    let bad: NetworkThrottle
    /// Looked at by an event loop that does not know a token, before it verifies it.
    let verified = Mutex(VerifiedWebTokens())

    package init(bad: NetworkThrottle = .ofBadTokens()) {
        self.bad = bad
    }
}

/// Finds the callers of JSON Web Tokens, on one event loop.
///
/// Verifying a signature takes as long as forwarding several messages. Each token is therefore verified once, and only so many bad ones
/// are looked at from one place.
final class WebTokenAuthentication {
    /// Longer ones are not looked at.
    static let limitBytes = 8192

    /// A token was looked at.
    struct Outcome {
        /// Nil: it is not valid, or belongs to no caller.
        var caller: Caller?
        /// Unix time in seconds from which on it is valid no longer.
        var until = 0
        /// Of the keys that were there when it was looked at.
        var generation = 0
    }

    typealias Then = (Result<Outcome, CallerError>) -> Void

    private let eventLoop: any EventLoop
    private let shared: SharedWebTokens
    private var verified = VerifiedWebTokens()

    init(on eventLoop: any EventLoop, _ shared: SharedWebTokens) {
        self.eventLoop = eventLoop
        self.shared = shared
    }

    /// Calls `then` with what became of the token: at once, or when its key has been fetched.
    ///
    /// - Parameters:
    ///   - limit: how long the key is waited for.
    ///   - now: Unix time in seconds.
    func authenticate(
        _ token: [UInt8], _ digest: APIKeyDigest, from peer: Peer, in directory: CallerDirectory,
        atMost limit: Duration,
        now: Int, then: @escaping Then
    ) {
        guard let verifier = directory.webTokens else { return then(.success(Outcome())) }
        // Before it is looked at: with keys that change meanwhile, it is looked at once more.
        let origin = VerifiedWebTokens.Origin(verifier)
        if let entry = known(digest, origin, now: now) { return then(.success(Self.outcome(entry, origin, directory))) }
        if let seconds = shared.bad.retryAfterIfFull(of: peer.place, now: eventLoop.now) {
            return then(
                .failure(
                    CallerError(
                        .tooManyBadTokens, "too many JSON Web Tokens from this network were not valid",
                        retryAfter: .seconds(seconds))))
        }
        let took = { (verdict: WebTokenVerdict?) in
            then(self.outcome(verdict ?? .keyUnavailable(retryAfter: .seconds(1)), digest, origin, peer, directory))
        }
        switch verifier.verify(token, now: now, on: eventLoop) {
        case .now(let verdict): took(verdict)
        case .later(let verdict): eventLoop.wait(for: verdict, atMost: limit, then: took)
        }
    }

    private func known(_ digest: APIKeyDigest, _ origin: VerifiedWebTokens.Origin, now: Int) -> VerifiedWebTokens.Entry?
    {
        if let entry = verified.entry(digest, origin, now: now) { return entry }
        guard let entry = shared.verified.withLock({ $0.entry(digest, origin, now: now) }) else { return nil }
        verified.insert(digest, entry, origin)
        return entry
    }

    private func outcome(
        _ verdict: WebTokenVerdict, _ digest: APIKeyDigest, _ origin: VerifiedWebTokens.Origin, _ peer: Peer,
        _ directory: CallerDirectory
    ) -> Result<Outcome, CallerError> {
        switch verdict {
        case .valid(let identity, let until):
            let entry = VerifiedWebTokens.Entry(identity: identity, until: until)
            let outcome = Self.outcome(entry, origin, directory)
            // Who is no caller here could fill the memory with identities.
            if outcome.caller != nil {
                verified.insert(digest, entry, origin)
                shared.verified.withLock { $0.insert(digest, entry, origin) }
            } else {
                count(peer)
            }
            return .success(outcome)
        case .invalid:
            count(peer)
            return .success(Outcome())
        case .keyUnavailable(let retryAfter):
            count(peer)
            return .failure(
                CallerError(
                    .issuerUnavailable,
                    "the JSON Web Token names a key that is not known here, and its issuer cannot be asked for it",
                    retryAfter: retryAfter))
        }
    }

    private func count(_ peer: Peer) { _ = shared.bad.retryAfter(of: peer.place, now: eventLoop.now) }

    private static func outcome(
        _ entry: VerifiedWebTokens.Entry, _ origin: VerifiedWebTokens.Origin, _ directory: CallerDirectory
    ) -> Outcome {
        Outcome(
            caller: directory.caller(of: entry.identity), until: entry.until, generation: origin.generation)
    }
}
