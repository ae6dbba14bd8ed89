/// The JSON Web Tokens that were found valid, so that each is verified once. Bounded for each caller by itself: one that comes with
/// ever new tokens pushes out its own.
struct VerifiedWebTokens {
    static let maximumPerCaller = 256

    private struct Entry {
        var caller: Int
        var until: Int
    }

    /// The newest of a caller, in the order in which they came; from `oldest` on, round.
    private struct Ring {
        var digests: [APIKeyDigest] = []
        var oldest = 0

        /// The digest that is pushed out.
        mutating func append(_ digest: APIKeyDigest) -> APIKeyDigest? {
            guard digests.count == maximumPerCaller else {
                digests.append(digest)
                return nil
            }
            defer { oldest = (oldest + 1) % maximumPerCaller }
            let old = digests[oldest]
            digests[oldest] = digest
            return old
        }
    }

    private var entries: [APIKeyDigest: Entry] = [:]
    private var rings: [Int: Ring] = [:]

    var count: Int { entries.count }

    /// Whose a token is: a caller's place in the configuration; nil if it was not found valid yet, or its time is over.
    func caller(of token: APIKeyDigest, now: Int) -> (index: Int, until: Int)? {
        guard let entry = entries[token], now < entry.until else { return nil }
        return (entry.caller, entry.until)
    }

    mutating func insert(_ token: APIKeyDigest, of caller: Int, until: Int) {
        guard entries.updateValue(Entry(caller: caller, until: until), forKey: token) == nil else { return }
        if let old = rings[caller, default: Ring()].append(token) { entries[old] = nil }
    }
}
