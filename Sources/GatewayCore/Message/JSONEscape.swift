/// One escape sequence of a JSON string (RFC 8259 section 7); a surrogate pair counts as one.
struct JSONEscape {
    /// In bytes, from the backslash on.
    let length: Int
    /// The code point; a surrogate that stands alone is kept as the number that it is.
    let codePoint: UInt32

    init(_ bytes: Span<UInt8>, at index: Int) throws(MessageError) {
        guard index + 1 < bytes.count else { throw .notJSON(offset: index, expected: "an escape sequence") }
        switch bytes[index + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"):
            (length, codePoint) = (2, UInt32(bytes[index + 1]))
        case UInt8(ascii: "b"): (length, codePoint) = (2, 0x08)
        case UInt8(ascii: "f"): (length, codePoint) = (2, 0x0C)
        case UInt8(ascii: "n"): (length, codePoint) = (2, 0x0A)
        case UInt8(ascii: "r"): (length, codePoint) = (2, 0x0D)
        case UInt8(ascii: "t"): (length, codePoint) = (2, 0x09)
        case UInt8(ascii: "u"):
            guard let unit = Self.codeUnit(bytes, at: index + 2) else {
                throw .notJSON(offset: index, expected: "four hexadecimal digits after `\\u`")
            }
            if (0xD800...0xDBFF).contains(unit), index + 7 < bytes.count, bytes[index + 6] == UInt8(ascii: "\\"),
                bytes[index + 7] == UInt8(ascii: "u"), let low = Self.codeUnit(bytes, at: index + 8),
                (0xDC00...0xDFFF).contains(low)
            {
                (length, codePoint) = (12, 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
            } else {
                (length, codePoint) = (6, unit)
            }
        default: throw .notJSON(offset: index, expected: "an escape sequence")
        }
    }

    private static func codeUnit(_ bytes: Span<UInt8>, at start: Int) -> UInt32? {
        guard start + 4 <= bytes.count else { return nil }
        var unit: UInt32 = 0
        for index in start..<start + 4 {
            guard let digit = hexDigit(bytes[index]) else { return nil }
            unit = unit << 4 | UInt32(digit)
        }
        return unit
    }

    /// What the character takes in its shortest JSON spelling, in bytes.
    var shortestBytes: Int {
        switch codePoint {
        case 0x22, 0x5C, 0x08, 0x0C, 0x0A, 0x0D, 0x09: 2
        case 0..<0x20, 0xD800...0xDFFF: 6
        case 0x20..<0x80: 1
        case 0x80..<0x800: 2
        case 0x800..<0x10000: 3
        default: 4
        }
    }

    /// Appends the character as UTF-8. A lone surrogate is written in the same pattern, so that it stays distinct.
    func append(to output: inout [UInt8]) {
        switch codePoint {
        case 0..<0x80:
            output.append(UInt8(truncatingIfNeeded: codePoint))
        case 0x80..<0x800:
            output.append(0xC0 | UInt8(truncatingIfNeeded: codePoint >> 6))
            output.append(continuation(0))
        case 0x800..<0x10000:
            output.append(0xE0 | UInt8(truncatingIfNeeded: codePoint >> 12))
            output.append(continuation(6))
            output.append(continuation(0))
        default:
            output.append(0xF0 | UInt8(truncatingIfNeeded: codePoint >> 18))
            output.append(continuation(12))
            output.append(continuation(6))
            output.append(continuation(0))
        }
    }

    private func continuation(_ shift: UInt32) -> UInt8 {
        0x80 | UInt8(truncatingIfNeeded: codePoint >> shift) & 0x3F
    }
}
