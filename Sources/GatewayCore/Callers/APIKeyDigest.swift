import Crypto

/// SHA-256 of a caller's API key: all that the gateway keeps of it.
///
/// Keys are looked up by digest. A lookup's time then depends on a value that nobody can steer byte by byte, and the
/// comparison that decides takes the same time wherever two digests differ.
package struct APIKeyDigest: Hashable, Sendable {
    private let words: (UInt64, UInt64, UInt64, UInt64)

    package init(of key: UnsafeRawBufferPointer) {
        var hash = SHA256()
        hash.update(bufferPointer: key)
        words = hash.finalize().withUnsafeBytes { Self.words($0) }
    }

    package init(of key: String) {
        words = SHA256.hash(data: Array(key.utf8)).withUnsafeBytes { Self.words($0) }
    }

    /// Nil unless `digest` has 32 bytes.
    package init?(digest: [UInt8]) {
        guard digest.count == 32 else { return nil }
        words = digest.withUnsafeBytes { Self.words($0) }
    }

    /// 64 digits.
    package var hexadecimal: String {
        [words.0, words.1, words.2, words.3].map { word in
            let digits = String(word.bigEndian, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    private static func words(_ digest: UnsafeRawBufferPointer) -> (UInt64, UInt64, UInt64, UInt64) {
        (
            digest.loadUnaligned(fromByteOffset: 0, as: UInt64.self),
            digest.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
            digest.loadUnaligned(fromByteOffset: 16, as: UInt64.self),
            digest.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
        )
    }

    package static func == (one: APIKeyDigest, other: APIKeyDigest) -> Bool {
        let difference =
            (one.words.0 ^ other.words.0) | (one.words.1 ^ other.words.1) | (one.words.2 ^ other.words.2)
            | (one.words.3 ^ other.words.3)
        return difference == 0
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
    }
}
