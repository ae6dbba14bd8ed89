import Glibc

/// Decodes the strings of header blocks, and remembers for each place in a block the string that was there last: a peer sends mostly the same
/// fields again, and comparing a string costs a tenth of decoding it. What is short enough is kept for the connection's life,
/// credentials among it; the connection's own table keeps such, too.
struct HuffmanMemory {
    /// Strings of a block, and bytes of one as it is written, that are remembered. Bounds what a peer can make a connection keep.
    private static let limit = 16
    private static let limitBytes = 64

    private struct Known {
        var encoded: [UInt8] = []
        var decoded: [UInt8] = []
    }

    /// By the order in a block.
    private var known: [Known] = []
    private var next = 0

    mutating func startBlock() { next = 0 }

    /// As `HuffmanCode.decode`.
    mutating func decode(_ bytes: Span<UInt8>, _ range: Range<Int>, to decoded: inout [UInt8]) -> Bool {
        let place = next
        next += 1
        guard place < Self.limit, range.count <= Self.limitBytes else {
            return HuffmanCode.shared.decode(bytes, range, to: &decoded)
        }
        if place < known.count, isEqual(known[place].encoded, bytes, range) {
            known[place].decoded.withUnsafeBufferPointer { decoded.append(contentsOf: $0) }
            return true
        }
        let start = decoded.count
        guard HuffmanCode.shared.decode(bytes, range, to: &decoded) else { return false }
        while known.count <= place { known.append(Known()) }
        known[place].encoded.removeAll(keepingCapacity: true)
        bytes.extracting(range).withUnsafeBufferPointer { known[place].encoded.append(contentsOf: $0) }
        known[place].decoded.removeAll(keepingCapacity: true)
        known[place].decoded.append(contentsOf: decoded[start...])
        return true
    }

    private func isEqual(_ encoded: [UInt8], _ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard encoded.count == range.count else { return false }
        return bytes.extracting(range).withUnsafeBytes { new in
            encoded.withUnsafeBytes { old in
                guard let new = new.baseAddress, let start = old.baseAddress else { return old.isEmpty }
                return memcmp(start, new, old.count) == 0
            }
        }
    }
}
