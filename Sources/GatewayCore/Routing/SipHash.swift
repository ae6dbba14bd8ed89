/// SipHash (Aumasson and Bernstein, 2012): a fast hash under a secret key, so that nobody who lacks the key can find inputs
/// that meet. Unlike `Hasher`'s, its key can be kept for the next process.
package struct SipHash: Equatable, Sendable {
    /// 128 bits.
    package var key: (UInt64, UInt64)
    private let compressionRounds: Int
    private let finalizationRounds: Int

    /// A key of this process's own.
    package init() {
        self.init(key: (.random(in: 0 ... .max), .random(in: 0 ... .max)))
    }

    /// With one and three rounds, as in Swift's own tables.
    package init(key: (UInt64, UInt64)) {
        self.init(key: key, rounds: 1, 3)
    }

    init(key: (UInt64, UInt64), rounds compressionRounds: Int, _ finalizationRounds: Int) {
        self.key = key
        self.compressionRounds = compressionRounds
        self.finalizationRounds = finalizationRounds
    }

    package static func == (one: SipHash, other: SipHash) -> Bool {
        one.key == other.key && one.compressionRounds == other.compressionRounds
            && one.finalizationRounds == other.finalizationRounds
    }

    package func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var state = State(key)
        let whole = bytes.count & ~7
        for offset in stride(from: 0, to: whole, by: 8) {
            state.take(bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self).littleEndian, compressionRounds)
        }
        var last = UInt64(truncatingIfNeeded: bytes.count) << 56
        for offset in whole..<bytes.count { last |= UInt64(bytes[offset]) << UInt64((offset - whole) * 8) }
        state.take(last, compressionRounds)
        return state.finish(finalizationRounds)
    }

    private struct State {
        private var v0, v1, v2, v3: UInt64

        init(_ key: (UInt64, UInt64)) {
            // "somepseudorandomlygeneratedbytes"
            v0 = key.0 ^ 0x736F_6D65_7073_6575
            v1 = key.1 ^ 0x646F_7261_6E64_6F6D
            v2 = key.0 ^ 0x6C79_6765_6E65_7261
            v3 = key.1 ^ 0x7465_6462_7974_6573
        }

        mutating func take(_ word: UInt64, _ rounds: Int) {
            v3 ^= word
            for _ in 0..<rounds { round() }
            v0 ^= word
        }

        mutating func finish(_ rounds: Int) -> UInt64 {
            v2 ^= 0xFF
            for _ in 0..<rounds { round() }
            return v0 ^ v1 ^ v2 ^ v3
        }

        private mutating func round() {
            v0 &+= v1
            v1 = v1.rotated(by: 13) ^ v0
            v0 = v0.rotated(by: 32)
            v2 &+= v3
            v3 = v3.rotated(by: 16) ^ v2
            v0 &+= v3
            v3 = v3.rotated(by: 21) ^ v0
            v2 &+= v1
            v1 = v1.rotated(by: 17) ^ v2
            v2 = v2.rotated(by: 32)
        }
    }
}

extension UInt64 {
    /// To the left.
    fileprivate func rotated(by bits: UInt64) -> UInt64 { self << bits | self >> (64 - bits) }
}
