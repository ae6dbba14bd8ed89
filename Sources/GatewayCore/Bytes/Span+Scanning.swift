import Glibc

/// Finding the end of a run of ordinary characters, eight bytes at a time: most bytes of every message are of that kind,
/// and looking at them one by one was a tenth of a message's cost.
///
/// Each function marks the bytes it looks for with their highest bit. The arithmetic carries from lower to higher
/// bytes, so marks above the lowest one may be false; only the lowest is used. (The method is Mycroft's, in Warren,
/// Hacker's Delight, section 6-1.)
extension Span where Element == UInt8 {
    /// The first place from `start` on that does not hold a printable ASCII character, or holds a quote or a backslash;
    /// `count` if there is none.
    func endOfPlainJSON(from start: Int) -> Int {
        endOfRun(from: start) { word in
            Marks.below0x20(word) | Marks.equal(word, to: UInt8(ascii: "\""))
                | Marks.equal(word, to: UInt8(ascii: "\\"))
                | (word & Marks.highBits)
        } isEnd: { byte in
            byte < 0x20 || byte >= 0x80 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
        }
    }

    /// The first quote or backslash from `start` on; `count` if there is none.
    func firstQuoteOrBackslash(from start: Int) -> Int {
        endOfRun(from: start) { word in
            Marks.equal(word, to: UInt8(ascii: "\"")) | Marks.equal(word, to: UInt8(ascii: "\\"))
        } isEnd: { byte in
            byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
        }
    }

    /// The first control character from `start` on; `count` if there is none.
    func firstControlCharacter(from start: Int) -> Int {
        endOfRun(from: start) { word in
            Marks.below0x20(word) | Marks.equal(word, to: 0x7F)
        } isEnd: { byte in
            byte < 0x20 || byte == 0x7F
        }
    }

    /// The first byte from `start` on that is no visible ASCII character (RFC 5234, `VCHAR`); `count` if there is none.
    func endOfVisible(from start: Int) -> Int {
        endOfRun(from: start) { word in
            Marks.below0x20(word) | Marks.equal(word, to: 0x20) | Marks.equal(word, to: 0x7F) | (word & Marks.highBits)
        } isEnd: { byte in
            byte <= 0x20 || byte >= 0x7F
        }
    }

    /// The first byte in `range` that is not unreserved in a URI (RFC 3986 section 2.3); its end if there is none.
    func endOfUnreserved(in range: Range<Int>) -> Int {
        endOfRun(from: range.lowerBound, until: range.upperBound) { word in
            let alphanumeric = Marks.alphanumeric(word)
            // Ids are nearly all letters and digits.
            guard alphanumeric != Marks.highBits else { return 0 }
            return
                ~(alphanumeric | Marks.within(word, UInt8(ascii: "-")...UInt8(ascii: "."))
                | Marks.within(word, UInt8(ascii: "_")...UInt8(ascii: "_"))
                | Marks.within(word, UInt8(ascii: "~")...UInt8(ascii: "~"))) & Marks.highBits
        } isEnd: { byte in
            !PercentEncoding.isUnreserved(byte)
        }
    }

    /// The first byte from `start` on that cannot stand in a token (RFC 9110 section 5.6.2); `count` if there is none.
    func endOfToken(from start: Int) -> Int {
        var index = start
        while true {
            // Names of fields hold little else.
            index = endOfRun(from: index) { word in
                ~(Marks.alphanumeric(word) | Marks.within(word, UInt8(ascii: "-")...UInt8(ascii: "-"))) & Marks.highBits
            } isEnd: { byte in
                !isTokenCharacter(byte)
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

    @inline(__always)
    private func endOfRun(from start: Int, marks: (UInt64) -> UInt64, isEnd: (UInt8) -> Bool) -> Int {
        endOfRun(from: start, until: count, marks: marks, isEnd: isEnd)
    }

    @inline(__always)
    private func endOfRun(
        from start: Int, until end: Int, marks: (UInt64) -> UInt64, isEnd: (UInt8) -> Bool
    ) -> Int {
        var index = start
        while index + 8 <= end {
            // The name is about types whose bit patterns can be invalid; the load is checked for bounds.
            let found = marks(UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)))
            if found != 0 { return index + found.trailingZeroBitCount / 8 }
            index += 8
        }
        while index < end && !isEnd(self[index]) { index += 1 }
        return index
    }
}

/// Eight bytes at a time.
enum Marks {
    static let highBits: UInt64 = 0x8080_8080_8080_8080
    static let ones: UInt64 = 0x0101_0101_0101_0101

    @inline(__always)
    static func below0x20(_ word: UInt64) -> UInt64 { (word &- 0x20 &* ones) & ~word & highBits }

    @inline(__always)
    static func equal(_ word: UInt64, to byte: UInt8) -> UInt64 {
        let difference = word ^ (ones &* UInt64(byte))
        return (difference &- ones) & ~difference & highBits
    }

    /// Marks exactly the bytes within `range`, which is of ASCII characters: nothing carries.
    @inline(__always)
    static func within(_ word: UInt64, _ range: ClosedRange<UInt8>) -> UInt64 {
        let low = word & ~highBits
        let reachesLower = low &+ UInt64(0x80 &- range.lowerBound) &* ones
        let exceedsUpper = low &+ UInt64(0x7F &- range.upperBound) &* ones
        return reachesLower & ~exceedsUpper & ~word & highBits
    }

    /// Marks exactly the ASCII letters and digits.
    @inline(__always)
    static func alphanumeric(_ word: UInt64) -> UInt64 {
        within(word | 0x20 &* ones, UInt8(ascii: "a")...UInt8(ascii: "z"))
            | within(word, UInt8(ascii: "0")...UInt8(ascii: "9"))
    }

    /// The same bytes, with each ASCII capital in lower case.
    @inline(__always)
    static func lowercased(_ word: UInt64) -> UInt64 {
        word | within(word, UInt8(ascii: "A")...UInt8(ascii: "Z")) &>> 2
    }
}
