import Crypto

/// Makes and verifies the ids by which skills report the messages that they have received: 64 characters that nobody can guess, and from
/// which the record is found without an index.
///
/// An id is 48 bytes in base64url: the record's scope (32), the skill (1), which of the scope's messages it is (4) and 11 bytes of
/// HMAC-SHA-256 over the rest. Whoever sees one can report that one message.
package struct ReceiptIDs: Sendable {
    package static let characters = 64
    private static let bodyBytes = 37
    private static let codeBytes = 11

    /// What an id stands for.
    package struct Subject: Equatable, Sendable {
        package var scope: IdempotencyScope
        /// The skill's place in the configuration.
        package var skill: Int
        var binding: Receipt.Binding

        init(scope: IdempotencyScope, skill: Int, binding: Receipt.Binding) {
            (self.scope, self.skill, self.binding) = (scope, skill, binding)
        }
    }

    /// Set in the byte of the skill for a message that is bound by time.
    private static let boundByTime: UInt8 = 0x80

    private struct Signer: Sendable {
        let skill: Int
        let tag: UInt8
        let hash: KeyedHash
    }

    /// By the skill's place; of each, one for each key, the first of which signs.
    private let signers: [[Signer]]

    /// - Parameters:
    ///   - signingSecrets: the first signs, all verify. Without any, no id is made and none is valid.
    ///   - skills: what records know them by, in the order of the configuration; nil for one that reports nothing.
    package init(signingSecrets: [String], skills: [String?]) {
        signers = skills.enumerated().map { index, id in
            guard let id else { return [] }
            let tag = SHA256.hash(data: Array("skillgate receipt of \(id)".utf8)).withUnsafeBytes { $0[0] & 0x7F }
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
        switch subject.binding {
        case .message(let fingerprint):
            body.append(signer.tag)
            withUnsafeBytes(of: fingerprint.bigEndian) { body.append(contentsOf: $0) }
        case .latestExpiry(let seconds):
            body.append(signer.tag | Self.boundByTime)
            withUnsafeBytes(of: UInt32(clamping: seconds).bigEndian) { body.append(contentsOf: $0) }
        }
        return Base64.encodeForURL(body + signer.hash.shortCode(for: body[...], bytes: Self.codeBytes))
    }

    /// Nil for an id that no key here has signed.
    func subject(of id: Span<UInt8>, _ range: Range<Int>) -> Subject? {
        guard range.count == Self.characters, let bytes = Base64.decode(id, range),
            bytes.count == Self.bodyBytes + Self.codeBytes
        else { return nil }
        let body = bytes[..<Self.bodyBytes]
        for ofSkill in signers {
            for signer in ofSkill
            where signer.tag == bytes[32] & 0x7F && signer.hash.matches(bytes[Self.bodyBytes...], for: body) {
                func word(_ place: Int) -> UInt64 { bytes[place..<place + 8].reduce(0) { $0 << 8 | UInt64($1) } }
                let bound = bytes[33..<37].reduce(0 as UInt32) { $0 << 8 | UInt32($1) }
                return Subject(
                    scope: IdempotencyScope(words: (word(0), word(8), word(16), word(24))), skill: signer.skill,
                    binding: bytes[32] & Self.boundByTime == 0 ? .message(bound) : .latestExpiry(Int(bound)))
            }
        }
        return nil
    }
}
