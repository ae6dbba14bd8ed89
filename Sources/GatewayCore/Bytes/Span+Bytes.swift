import Glibc

/// Looking at bytes in place. Ranges come from our own parsers; every access is bounds-checked.
extension Span where Element == UInt8 {
    /// Whether `range` holds `lowercase`, an ASCII literal in lower case, without regard to case.
    package func isEqualIgnoringCase(_ range: Range<Int>, to lowercase: StaticString) -> Bool {
        guard range.count == lowercase.utf8CodeUnitCount else { return false }
        let literal = UnsafeRawPointer(lowercase.utf8Start)
        guard range.count >= 8 else {
            for offset in 0..<range.count {
                var byte = self[range.lowerBound + offset]
                if byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") { byte |= 0x20 }
                if byte != literal.load(fromByteOffset: offset, as: UInt8.self) { return false }
            }
            return true
        }
        // The last eight bytes are compared together, even where some of them have been before.
        let last = range.count - 8
        var offset = 0
        while true {
            let word = Word.lowercased(
                bytes.unsafeLoadUnaligned(fromByteOffset: range.lowerBound + offset, as: UInt64.self))
            guard word == literal.loadUnaligned(fromByteOffset: offset, as: UInt64.self) else { return false }
            guard offset < last else { return true }
            offset = min(offset + 8, last)
        }
    }

    package func isEqual(_ range: Range<Int>, to literal: StaticString) -> Bool {
        guard range.count == literal.utf8CodeUnitCount else { return false }
        return extracting(range).withUnsafeBytes { bytes in
            bytes.baseAddress.map { memcmp($0, literal.utf8Start, bytes.count) == 0 } ?? true
        }
    }

    /// The text of `range`; bytes that are not UTF-8 become U+FFFD. For messages to people, never for decisions.
    func text(_ range: Range<Int>) -> String {
        String(decoding: (range).map { self[$0] }, as: UTF8.self)
    }

    /// `range` without the spaces and tabs at both ends (RFC 9110 section 5.6.3, OWS).
    @inlinable
    func trimmed(_ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end && isBlank(self[start]) { start += 1 }
        while start < end && isBlank(self[end - 1]) { end -= 1 }
        return start..<end
    }

    /// A non-negative decimal number: digits only, no sign, nothing else; nil also when it does not fit.
    package func decimal(_ range: Range<Int>) -> Int? {
        guard !range.isEmpty else { return nil }
        var value = 0
        for index in range {
            let digit = Int(self[index]) - Int(UInt8(ascii: "0"))
            guard (0...9).contains(digit) else { return nil }
            let (product, overflows) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowsToo) = product.addingReportingOverflow(digit)
            guard !overflows && !overflowsToo else { return nil }
            value = sum
        }
        return value
    }
}

@inlinable
func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

/// The value of a hexadecimal digit, either case.
@inlinable
func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}

/// The hexadecimal digit of a value below 16, in lower case.
@inline(__always)
func hexCharacter(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
}

/// Eight bytes at a time.
private enum Word {
    private static let highBits: UInt64 = 0x8080_8080_8080_8080
    private static let ones: UInt64 = 0x0101_0101_0101_0101

    /// The same bytes, with each ASCII capital in lower case. (Warren, Hacker's Delight, section 6-1.)
    @inline(__always)
    static func lowercased(_ word: UInt64) -> UInt64 {
        let low = word & ~highBits
        let reachesA = low &+ UInt64(0x80 &- UInt8(ascii: "A")) &* ones
        let exceedsZ = low &+ UInt64(0x7F &- UInt8(ascii: "Z")) &* ones
        return word | (reachesA & ~exceedsZ & ~word & highBits) &>> 2
    }
}
