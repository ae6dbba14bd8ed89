import Crypto

/// HMAC-SHA-256 (RFC 2104) under one key, for many short messages.
///
/// Both hashes are fed with the key once and copied for each message; the library's own HMAC hides them behind generics
/// that cost more than hashing does.
struct KeyedHash {
    private let inner: SHA256
    private let outer: SHA256
    /// Names the key among others, and tells nothing else of it.
    private(set) var identifier: UInt16 = 0

    init(key: SymmetricKey) {
        let blockBytes = SHA256.blockByteCount
        var block = key.withUnsafeBytes { Array($0) }
        if block.count > blockBytes { block = Array(SHA256.hash(data: block)) }
        block += Array(repeating: 0, count: blockBytes - block.count)
        inner = Self.hash(startingWith: block.map { $0 ^ 0x36 })
        outer = Self.hash(startingWith: block.map { $0 ^ 0x5C })
        identifier = Array("which key".utf8).withUnsafeBytes { text in
            authenticationCode(for: text).withUnsafeBytes { $0.loadUnaligned(as: UInt16.self) }
        }
    }

    private static func hash(startingWith block: [UInt8]) -> SHA256 {
        var hash = SHA256()
        block.withUnsafeBytes { hash.update(bufferPointer: $0) }
        return hash
    }

    /// Whether `code` is the beginning of that for `body`; in the same time wherever the first difference is.
    func matches(_ code: ArraySlice<UInt8>, for body: ArraySlice<UInt8>) -> Bool {
        var difference: UInt8 = 0
        for (one, other) in zip(shortCode(for: body, bytes: code.count), code) { difference |= one ^ other }
        return difference == 0
    }

    /// The first bytes of the code.
    func shortCode(for body: ArraySlice<UInt8>, bytes count: Int) -> [UInt8] {
        Array(body.withUnsafeBytes { authenticationCode(for: $0) }.prefix(count))
    }

    func authenticationCode(for bytes: UnsafeRawBufferPointer) -> SHA256Digest {
        var (inner, outer) = (inner, outer)
        inner.update(bufferPointer: bytes)
        inner.finalize().withUnsafeBytes { outer.update(bufferPointer: $0) }
        return outer.finalize()
    }
}
