import Crypto

/// Makes and verifies the ids by which skills report the messages that they have received: 64 characters that nobody can guess, and from
/// which the record is found without an index.
///
/// An id is 48 bytes in base64url: the record's scope (32), the skill (1), when its record expires at the latest (3) and 12 bytes of
/// HMAC-SHA-256 over the rest. Whoever sees one can report that one message, and learns nothing else: a scope is a hash.
package struct ReceiptIDs: Sendable {
    package static let characters = 64
    private static let bodyBytes = 36
    private static let codeBytes = 12

    /// What an id stands for.
    package struct Subject: Equatable, Sendable {
        package var scope: IdempotencyScope
        /// The skill's place in the configuration.
        package var skill: Int
        /// When the record expires at the latest, in Unix seconds: one that expires later is that of an equal message which came when the
        /// window of this one was over. Nil for a message with a key, whose id is the same with each send.
        package var latestExpiry: Int?

        package init(scope: IdempotencyScope, skill: Int, latestExpiry: Int? = nil) {
            (self.scope, self.skill, self.latestExpiry) = (scope, skill, latestExpiry)
        }
    }

    /// Times are told modulo this, and are meant to be the nearest to now: within half a year in all.
    private static let timeModulus = 1 << 24

    private struct Signer: Sendable {
        let skill: Int
        let tag: UInt8
        let hash: KeyedHash
    }

    /// By skill: those of all keys, the first of which signs.
    private let signers: [[Signer]]

    /// - Parameters:
    ///   - signingSecrets: the first signs, all verify. Without any, no id is made and none is valid.
    ///   - skills: what records know them by, in the order of the configuration; nil for one that reports nothing.
    package init(signingSecrets: [String], skills: [String?]) {
        signers = skills.enumerated().map { index, id in
            guard let id else { return [] }
            let tag = SHA256.hash(data: Array("skillgate receipt of \(id)".utf8)).withUnsafeBytes { $0[0] }
            return signingSecrets.map { secret in
                // Its own purpose and skill are part of the key, so that a secret used elsewhere, too, makes other codes there.
                let purpose = Array("skillgate receipt 1 \(id.utf8.count) \(id) ".utf8)
                let key = SymmetricKey(data: SHA256.hash(data: purpose + Array(secret.utf8)))
                return Signer(skill: index, tag: tag, hash: KeyedHash(key: key))
            }
        }
    }

    var areUsed: Bool { signers.contains { !$0.isEmpty } }

    /// Nil where the skill reports nothing.
    func id(of subject: Subject) -> String? {
        guard signers.indices.contains(subject.skill), let signer = signers[subject.skill].first else { return nil }
        var body: [UInt8] = []
        body.reserveCapacity(Self.bodyBytes + Self.codeBytes)
        let words = subject.scope.words
        for word in [words.0, words.1, words.2, words.3] {
            withUnsafeBytes(of: word.bigEndian) { body.append(contentsOf: $0) }
        }
        body.append(signer.tag)
        // 0 stands for none.
        let time = subject.latestExpiry.map { max(1, $0 & (Self.timeModulus - 1)) } ?? 0
        for shift in [16, 8, 0] { body.append(UInt8(truncatingIfNeeded: time >> shift)) }
        return Base64.encodeForURL(body + Self.code(signer, body[...]))
    }

    /// Nil for an id that no key here has signed.
    ///
    /// - Parameter now: Unix time in seconds.
    func subject(of id: Span<UInt8>, _ range: Range<Int>, now: Int) -> Subject? {
        guard range.count == Self.characters, let bytes = Base64.decode(id, range),
            bytes.count == Self.bodyBytes + Self.codeBytes
        else { return nil }
        let body = bytes[..<Self.bodyBytes]
        for signers in signers {
            for signer in signers where signer.tag == bytes[32] && isSigned(bytes, body, by: signer) {
                func word(_ place: Int) -> UInt64 { bytes[place..<place + 8].reduce(0) { $0 << 8 | UInt64($1) } }
                let time = bytes[33..<36].reduce(0) { $0 << 8 | Int($1) }
                return Subject(
                    scope: IdempotencyScope(words: (word(0), word(8), word(16), word(24))), skill: signer.skill,
                    latestExpiry: time == 0 ? nil : Self.nearest(time, to: now))
            }
        }
        return nil
    }

    private static func nearest(_ time: Int, to now: Int) -> Int {
        let early = now &- timeModulus / 2
        return early &+ ((time &- early) & (timeModulus - 1))
    }

    /// In the same time wherever the first difference is.
    private func isSigned(_ bytes: [UInt8], _ body: ArraySlice<UInt8>, by signer: Signer) -> Bool {
        var difference: UInt8 = 0
        for (one, other) in zip(Self.code(signer, body), bytes[Self.bodyBytes...]) { difference |= one ^ other }
        return difference == 0
    }

    private static func code(_ signer: Signer, _ body: ArraySlice<UInt8>) -> [UInt8] {
        Array(body.withUnsafeBytes { signer.hash.authenticationCode(for: $0) }.prefix(codeBytes))
    }
}
