import Crypto
package import NIOCore

/// What a record is found by: SHA-256 over caller, skill and key, so that it has one length, names nobody, and no
/// caller can reach another's.
package struct IdempotencyScope: Hashable, Sendable {
    package let words: (UInt64, UInt64, UInt64, UInt64)
    /// Where a record is put in memory: SipHash under a key of this process, so that nobody can find keys that meet in one
    /// place. Anybody can compute the words.
    private let placement: UInt64

    /// Each choice has bits of its own: the place in a part of an index, the shard of a store, the part of that shard's index.
    var placeBits: UInt32 { UInt32(truncatingIfNeeded: placement) }
    var shardBits: UInt8 { UInt8(truncatingIfNeeded: placement >> 32) }
    var partBits: UInt8 { UInt8(truncatingIfNeeded: placement >> 48) }

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

    /// Nil for what is no key.
    ///
    /// - Parameters:
    ///   - key: its characters, without quotes.
    ///   - caller, skill: what records know them by.
    package init?(ofKey key: String, caller: String, skill: String) {
        guard (1...IdempotencyKey.limitCharacters).contains(key.utf8.count),
            key.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
        else { return nil }
        self.init(hashing: Self.prefix(caller: caller, skill: skill) + Array(key.utf8))
    }

    fileprivate init(hashing bytes: [UInt8]) {
        var hash = SHA256()
        bytes.withUnsafeBytes { hash.update(bufferPointer: $0) }
        self = hash.finalize().withUnsafeBytes { digest in
            IdempotencyScope(
                words: (
                    digest.loadUnaligned(fromByteOffset: 0, as: UInt64.self),
                    digest.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
                    digest.loadUnaligned(fromByteOffset: 16, as: UInt64.self),
                    digest.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
                ))
        }
    }

    /// What the hashed bytes begin with. Each identifier is preceded by its length, so that no two pairs have the same prefix.
    static func prefix(caller: String, skill: String) -> [UInt8] {
        var prefix: [UInt8] = []
        for id in [caller, skill] {
            withUnsafeBytes(of: UInt32(clamping: id.utf8.count).bigEndian) { prefix.append(contentsOf: $0) }
            prefix.append(contentsOf: id.utf8)
        }
        return prefix
    }

    /// Nil for other than 64 hexadecimal digits.
    package init?(hexadecimal text: String) {
        let digits = Array(text.utf8)
        guard digits.count == 64 else { return nil }
        var words: [UInt64] = [0, 0, 0, 0]
        for (index, character) in digits.enumerated() {
            guard let digit = hexDigit(character) else { return nil }
            words[index / 16] = words[index / 16] << 4 | UInt64(digit)
        }
        self.init(words: (words[0], words[1], words[2], words[3]))
    }

    /// 64 digits, as logs and exported records have them.
    package var hexadecimal: String {
        var buffer = ByteBuffer()
        writeHexadecimal(to: &buffer)
        return String(buffer: buffer)
    }

    func writeHexadecimal(to buffer: inout ByteBuffer) {
        for word in [words.0, words.1, words.2, words.3] { buffer.writeHexadecimal(word) }
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

    /// - Parameter prefix: that of caller and skill.
    package mutating func scope(prefix: [UInt8], key: IdempotencyKey) -> IdempotencyScope {
        scopeInput.removeAll(keepingCapacity: true)
        scopeInput.append(contentsOf: prefix)
        key.characters.withUnsafeReadableBytes { scopeInput.append(contentsOf: $0) }
        return IdempotencyScope(hashing: scopeInput)
    }

    /// The key of a message that has none of its own: what is equal, to the same user, has the same.
    ///
    /// - Parameter content: a message that `MessageValidator` has accepted.
    package mutating func contentKey(user: UserID, content: ByteBuffer) -> IdempotencyKey {
        canonical.make(of: content.readableBytesUInt8Span, user: user.canonical)
        return canonical.form.withUnsafeReadableBytes {
            IdempotencyKey(contentDigest: Array(contentKeyed.authenticationCode(for: $0)))
        }
    }

    /// - Parameters:
    ///   - key: no store holds it, so that it keys the fingerprint even where no secret does.
    ///   - content: a message that `MessageValidator` has accepted.
    /// - Returns: with the first key, and with each of the others.
    package mutating func fingerprints(
        key: IdempotencyKey, user: UserID, content: ByteBuffer
    ) -> (RequestFingerprint, others: [RequestFingerprint]) {
        canonical.make(of: content.readableBytesUInt8Span, key: key.characters, user: user.canonical)
        return canonical.form.withUnsafeReadableBytes { form in
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
