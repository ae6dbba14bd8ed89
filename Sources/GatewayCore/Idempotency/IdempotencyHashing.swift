import Crypto
package import NIOCore

/// What a record is found by: SHA-256 over caller, skill and key, so that it has one length, names nobody, and no
/// caller can reach another's.
package struct IdempotencyScope: Hashable, Sendable {
    package let words: (UInt64, UInt64, UInt64, UInt64)
    /// Where a record is put in memory: SipHash under a key of this process, so that nobody can find keys that meet in one
    /// place. Anybody can compute the words.
    let placement: UInt64

    package init(words: (UInt64, UInt64, UInt64, UInt64)) {
        self.words = words
        var hasher = Hasher()
        hasher.combine(words.0)
        hasher.combine(words.1)
        placement = UInt64(bitPattern: Int64(hasher.finalize()))
    }

    package static func == (one: IdempotencyScope, other: IdempotencyScope) -> Bool {
        one.words.0 == other.words.0 && one.words.1 == other.words.1 && one.words.2 == other.words.2
            && one.words.3 == other.words.3
    }

    /// 64 digits, as exported records have them.
    package var hexadecimal: String {
        [words.0, words.1, words.2, words.3].map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    package func hash(into hasher: inout Hasher) {
        // The words already are a hash; one of them tells records apart as well as four.
        hasher.combine(words.0)
    }
}

/// Two bytes that name the key, and 14 of HMAC-SHA-256 over idempotency key, userId and canonical message: tells whether a duplicate is the same
/// message. Keyed, so that a store that leaks does not let anybody test guesses of what was sent.
package struct RequestFingerprint: Hashable, Sendable {
    package let words: (UInt64, UInt64)

    package init(words: (UInt64, UInt64)) {
        self.words = words
    }

    /// Which key it was made with: fingerprints of two keys say nothing about each other.
    var key: UInt16 { UInt16(truncatingIfNeeded: words.0 >> 48) }

    package static func == (one: RequestFingerprint, other: RequestFingerprint) -> Bool {
        one.words.0 == other.words.0 && one.words.1 == other.words.1
    }

    package func hash(into hasher: inout Hasher) {
        // Already a hash; one word tells fingerprints apart as well as two.
        hasher.combine(words.0)
    }
}

/// Makes scopes and fingerprints; one an event loop, since it keeps its buffers.
package struct IdempotencyHasher {
    private let keyed: KeyedHash
    /// Of keys that were used before, or will be.
    private let others: [KeyedHash]
    /// For keys that are the content: of all keys the one that stays longest the same while they are rotated.
    private let contentKeyed: KeyedHash
    private var canonical = CanonicalMessage()
    private var scopeInput: [UInt8] = []

    package init(_ keys: FingerprintKeys) {
        keyed = KeyedHash(key: keys.first)
        others = keys.others.map { KeyedHash(key: $0) }
        contentKeyed = others.reduce(keyed) { $1.identifier < $0.identifier ? $1 : $0 }
    }

    /// - Parameter prefix: caller and skill, length-prefixed (`Skill.scopePrefix`).
    package mutating func scope(prefix: [UInt8], key: IdempotencyKey) -> IdempotencyScope {
        scopeInput.removeAll(keepingCapacity: true)
        scopeInput.append(contentsOf: prefix)
        key.characters.withUnsafeReadableBytes { scopeInput.append(contentsOf: $0) }
        var hash = SHA256()
        scopeInput.withUnsafeBytes { hash.update(bufferPointer: $0) }
        return hash.finalize().withUnsafeBytes { digest in
            IdempotencyScope(
                words: (
                    digest.loadUnaligned(fromByteOffset: 0, as: UInt64.self),
                    digest.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
                    digest.loadUnaligned(fromByteOffset: 16, as: UInt64.self),
                    digest.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
                ))
        }
    }

    /// The key of a message that has none of its own: what is equal, to the same user, has the same.
    ///
    /// - Parameter content: a message that `MessageValidator` has accepted.
    package mutating func contentKey(user: UserID, content: ByteBuffer) -> IdempotencyKey {
        canonical.removeAll()
        append(user, content)
        return canonical.form.withUnsafeBytes {
            IdempotencyKey(contentDigest: Array(contentKeyed.authenticationCode(for: $0)))
        }
    }

    private mutating func append(_ user: UserID, _ content: ByteBuffer) {
        let userBytes = user.canonical.readableBytesUInt8Span
        canonical.append(userBytes, 0..<userBytes.count)
        let bytes = content.readableBytesUInt8Span
        _ = canonical.appendValue(bytes, at: JSONScanner.skipWhitespace(bytes, from: 0))
    }

    /// - Parameters:
    ///   - key: no store holds it, so that it keys the fingerprint even where no secret does.
    ///   - content: a message that `MessageValidator` has accepted.
    /// - Returns: with the first key, and with each of the others.
    package mutating func fingerprints(
        key: IdempotencyKey, user: UserID, content: ByteBuffer
    ) -> (RequestFingerprint, others: [RequestFingerprint]) {
        canonical.removeAll()
        let keyBytes = key.characters.readableBytesUInt8Span
        canonical.append(keyBytes, 0..<keyBytes.count)
        append(user, content)
        return canonical.form.withUnsafeBytes { form in
            // An empty list takes no memory.
            (RequestFingerprint(of: form, keyed), others.map { RequestFingerprint(of: form, $0) })
        }
    }
}

extension RequestFingerprint {
    fileprivate init(of form: UnsafeRawBufferPointer, _ keyed: KeyedHash) {
        self = keyed.authenticationCode(for: form).withUnsafeBytes { digest in
            let code = digest.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
            return RequestFingerprint(
                words: (
                    code & 0x0000_FFFF_FFFF_FFFF | UInt64(keyed.identifier) << 48,
                    digest.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
                ))
        }
    }
}
