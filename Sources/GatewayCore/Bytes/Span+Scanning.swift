import Glibc

/// Finding the end of a run of ordinary characters, sixteen bytes at a time: most bytes of every message are of that kind,
/// and looking at them one by one was a tenth of a message's cost.
///
/// Each function says of a vector which of its bytes end the run.
extension Span where Element == UInt8 {
    /// The first place from `start` on that does not hold a printable ASCII character, or holds a quote or a backslash;
    /// `count` if there is none.
    func endOfPlainJSON(from start: Int) -> Int {
        endOfRun(in: start..<count) { bytes in
            Marks.outside(bytes, 0x20...0x7F) .| Marks.equal(bytes, UInt8(ascii: "\""))
                .| Marks.equal(bytes, UInt8(ascii: "\\"))
        }
    }

    /// The first quote or backslash from `start` on; `count` if there is none.
    func firstQuoteOrBackslash(from start: Int) -> Int {
        endOfRun(in: start..<count) { bytes in
            Marks.equal(bytes, UInt8(ascii: "\"")) .| Marks.equal(bytes, UInt8(ascii: "\\"))
        }
    }

    /// The first control character from `start` on; `count` if there is none.
    func firstControlCharacter(from start: Int) -> Int {
        endOfRun(in: start..<count) { bytes in Marks.within(bytes, 0...0x1F) .| Marks.equal(bytes, 0x7F) }
    }

    /// The first byte from `start` on that is no visible ASCII character (RFC 5234, `VCHAR`); `count` if there is none.
    func endOfVisible(from start: Int) -> Int {
        endOfRun(in: start..<count) { bytes in Marks.outside(bytes, 0x21...0x7E) }
    }

    /// The first byte in `range` that is not unreserved in a URI (RFC 3986 section 2.3); its end if there is none.
    func endOfUnreserved(in range: Range<Int>) -> Int {
        endOfRun(in: range) { bytes in
            .!(Marks.alphanumeric(bytes) .| Marks.within(bytes, UInt8(ascii: "-")...UInt8(ascii: "."))
                .| Marks.equal(bytes, UInt8(ascii: "_")) .| Marks.equal(bytes, UInt8(ascii: "~")))
        }
    }

    /// The first byte from `start` on that cannot stand in a token (RFC 9110 section 5.6.2); `count` if there is none.
    func endOfToken(from start: Int) -> Int {
        var index = start
        while true {
            // Names of fields hold little else.
            index = endOfRun(in: index..<count) { bytes in
                .!(Marks.alphanumeric(bytes) .| Marks.equal(bytes, UInt8(ascii: "-")))
            }
            guard index < count && isTokenCharacter(self[index]) else { return index }
            index += 1
        }
    }

    /// The first `byte` from `start` on; `count` if there is none.
    func first(_ byte: UInt8, from start: Int) -> Int {
        first(byte, in: start..<count)
    }

    /// The first `byte` in `range`; its end if there is none.
    func first(_ byte: UInt8, in range: Range<Int>) -> Int {
        extracting(range).withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress, let found = memchr(start, Int32(byte), bytes.count) else {
                return range.upperBound
            }
            return range.lowerBound + UnsafeRawPointer(found) - start
        }
    }

    /// - Parameter ends: which bytes of a vector end the run.
    @inline(__always)
    private func endOfRun(in range: Range<Int>, ends: (SIMD16<UInt8>) -> SIMDMask<SIMD16<Int8>>) -> Int {
        var index = range.lowerBound
        // What lies behind the range is read with it.
        while index < range.upperBound && index + 16 <= count {
            // The name is about types whose bit patterns can be invalid; the load is checked for bounds.
            let found = Marks.first(ends(bytes.unsafeLoadUnaligned(fromByteOffset: index, as: SIMD16<UInt8>.self)))
            if found < 16 { return min(index + found, range.upperBound) }
            index += 16
        }
        guard index < range.upperBound else { return range.upperBound }
        var rest = SIMD16<UInt8>()
        for place in index..<range.upperBound { rest[place - index] = self[place] }
        return min(index + Marks.first(ends(rest)), range.upperBound)
    }
}

/// Which of sixteen bytes are what is asked for.
///
/// Each operand is a vector: with a byte for one of them, the compiler makes sixteen operations of one.
enum Marks {
    typealias Bytes = SIMD16<UInt8>
    typealias Mask = SIMDMask<SIMD16<Int8>>

    @inline(__always)
    static func equal(_ bytes: Bytes, _ byte: UInt8) -> Mask { bytes .== Bytes(repeating: byte) }

    @inline(__always)
    static func within(_ bytes: Bytes, _ range: ClosedRange<UInt8>) -> Mask {
        bytes &- Bytes(repeating: range.lowerBound) .<= Bytes(repeating: range.upperBound &- range.lowerBound)
    }

    @inline(__always)
    static func outside(_ bytes: Bytes, _ range: ClosedRange<UInt8>) -> Mask {
        bytes &- Bytes(repeating: range.lowerBound) .> Bytes(repeating: range.upperBound &- range.lowerBound)
    }

    /// The ASCII letters and digits.
    @inline(__always)
    static func alphanumeric(_ bytes: Bytes) -> Mask {
        within(bytes | Bytes(repeating: 0x20), UInt8(ascii: "a")...UInt8(ascii: "z"))
            .| within(bytes, UInt8(ascii: "0")...UInt8(ascii: "9"))
    }

    /// The place of the first that is marked; 16 if none is.
    @inline(__always)
    static func first(_ mask: Mask) -> Int {
        let words = unsafeBitCast(mask, to: SIMD2<UInt64>.self)
        let low = UInt64(littleEndian: words[0])
        return (low != 0 ? low.trailingZeroBitCount : 64 + UInt64(littleEndian: words[1]).trailingZeroBitCount) / 8
    }
}
