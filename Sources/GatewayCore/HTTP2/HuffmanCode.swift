/// The Huffman code of field strings (RFC 7541 appendix B).
///
/// It is canonical: codes of the same length are consecutive, in the order of their symbols. So the lengths are the whole table.
struct HuffmanCode: Sendable {
    static let shared = HuffmanCode()

    private static let endOfString = 256
    private static let shortest = 5
    private static let longest = 30
    /// In bits, by symbol: the bytes, and the end of the string.
    private static let lengths: [UInt8] = [
        13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
        28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
        5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
        7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
        15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
        7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
        24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
        23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
        26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
        21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
        26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
    ]

    /// By length, in the upper bits of 32: behind the last code of this length or a shorter one.
    private let ends: [UInt64]
    /// By length: what a code's distance from 0 has to be moved by to be its symbol's place.
    private let offsets: [Int]
    /// In the order of their codes.
    private let symbols: [UInt16]
    /// By the first 8 bits: the length of the code that they start with, 0 if it is longer, and its symbol.
    private let short: [(length: UInt8, symbol: UInt8)]

    private init() {
        let symbols = Self.lengths.indices.sorted { (Self.lengths[$0], $0) < (Self.lengths[$1], $1) }
        var ends = [UInt64](repeating: 0, count: Self.longest + 1)
        var offsets = [Int](repeating: 0, count: Self.longest + 1)
        var short = [(length: UInt8, symbol: UInt8)](repeating: (0, 0), count: 256)
        var code: UInt64 = 0
        var place = 0
        for length in Self.shortest...Self.longest {
            let unit: UInt64 = 1 << UInt64(32 - length)
            offsets[length] = place - Int(code / unit)
            while place < symbols.count, Self.lengths[symbols[place]] == UInt8(length) {
                if length <= 8 {
                    for start in Int(code >> 24)..<Int((code + unit) >> 24) {
                        short[start] = (UInt8(length), UInt8(truncatingIfNeeded: symbols[place]))
                    }
                }
                code += unit
                place += 1
            }
            ends[length] = code
        }
        self.ends = ends
        self.offsets = offsets
        self.symbols = symbols.map { UInt16($0) }
        self.short = short
    }

    /// Appends what `range` stands for. False if it is no such code, or not padded with the first bits of the end of the string (RFC
    /// 7541 section 5.2).
    func decode(_ bytes: Span<UInt8>, _ range: Range<Int>, to decoded: inout [UInt8]) -> Bool {
        let start = decoded.count
        // No symbol is shorter than this.
        decoded.append(contentsOf: repeatElement(0, count: range.count * 8 / Self.shortest))
        var output = decoded.mutableSpan
        let end = decode(bytes.extracting(range), to: &output, from: start)
        decoded.removeSubrange((end ?? start)...)
        return end != nil
    }

    /// Returns the place behind the last symbol that was written.
    private func decode(_ bytes: Span<UInt8>, to output: inout MutableSpan<UInt8>, from start: Int) -> Int? {
        let short = short.span
        // The bits that come next are the highest ones; behind the last there are zeros.
        var window: UInt64 = 0
        var bits: UInt64 = 0
        var next = 0
        var end = start
        while true {
            while bits <= 56, next < bytes.count {
                window |= UInt64(bytes[next]) &<< (56 &- bits)
                next &+= 1
                bits &+= 8
            }
            // Without a look at the bytes, as long as any code is there whole.
            repeat {
                var (length, symbol) = short[Int(window &>> 56)]
                if length == 0 {
                    guard bits > 8, let code = long(UInt32(truncatingIfNeeded: window &>> 32)),
                        code.symbol != Self.endOfString
                    else { return place(end, ifPadded: window, bits) }
                    length = UInt8(truncatingIfNeeded: code.length)
                    symbol = UInt8(truncatingIfNeeded: code.symbol)
                }
                guard length <= bits else { return place(end, ifPadded: window, bits) }
                output[end] = symbol
                end &+= 1
                window &<<= UInt64(length)
                bits &-= UInt64(length)
            } while bits >= UInt64(Self.longest)
        }
    }

    /// `end`, if what is left is padding.
    private func place(_ end: Int, ifPadded window: UInt64, _ bits: UInt64) -> Int? {
        let padding: UInt64 = ~(UInt64.max &>> bits)
        return bits < 8 && window == padding ? end : nil
    }

    /// The symbol of a code that is longer than 8 bits.
    private func long(_ first: UInt32) -> (symbol: Int, length: UInt64)? {
        guard let length = (9...Self.longest).first(where: { UInt64(first) < ends[$0] }) else { return nil }
        return (Int(symbols[offsets[length] + Int(first &>> UInt32(32 - length))]), UInt64(length))
    }
}
