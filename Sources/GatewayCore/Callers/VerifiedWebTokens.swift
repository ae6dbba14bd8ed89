/// The JSON Web Tokens that were found valid, so that each is verified once. Bounded for each identity by itself: a caller that comes
/// with ever new tokens pushes out its own.
struct VerifiedWebTokens: Sendable {
    static let maximumPerIdentity = 256

    struct Entry: Sendable {
        var identity: WebTokenIdentity
        /// Unix time in seconds from which on it is valid no longer.
        var until: Int
    }

    /// By whom they were found valid, with which keys. Others may find otherwise.
    struct Origin: Equatable, Sendable {
        /// Kept, so that no other can be in its place in memory.
        private let verifier: any WebTokenVerifier
        let generation: Int

        init(_ verifier: any WebTokenVerifier) {
            self.verifier = verifier
            generation = verifier.generation
        }

        static func == (one: Origin, other: Origin) -> Bool {
            one.verifier === other.verifier && one.generation == other.generation
        }
    }

    /// The newest of an identity, in the order in which they came; from `oldest` on, round.
    private struct Ring: Sendable {
        var digests: [APIKeyDigest] = []
        var oldest = 0

        /// The digest that is pushed out.
        mutating func append(_ digest: APIKeyDigest) -> APIKeyDigest? {
            guard digests.count == maximumPerIdentity else {
                digests.append(digest)
                return nil
            }
            defer { oldest = (oldest + 1) % maximumPerIdentity }
            let old = digests[oldest]
            digests[oldest] = digest
            return old
        }
    }

    private var origin: Origin?
    private var entries: [APIKeyDigest: Entry] = [:]
    private var rings: [WebTokenIdentity: Ring] = [:]

    var count: Int { entries.count }

    /// What a token says; nil if it was not found valid yet, or its time is over.
    func entry(_ token: APIKeyDigest, _ origin: Origin, now: Int) -> Entry? {
        guard origin == self.origin, let entry = entries[token], now < entry.until else { return nil }
        return entry
    }

    /// - Parameter origin: as it was before the token was looked at.
    mutating func insert(_ token: APIKeyDigest, _ entry: Entry, _ origin: Origin) {
        if origin != self.origin {
            self = VerifiedWebTokens()
            self.origin = origin
        }
        guard entries.updateValue(entry, forKey: token) == nil else { return }
        if let old = rings[entry.identity, default: Ring()].append(token) { entries[old] = nil }
    }
}
