import GatewayCore

/// JSON that is written piece by piece. A document has thousands of pieces, for which a `ByteBuffer` asks too much of each.
struct JSONBytes {
    private(set) var bytes: [UInt8] = []

    mutating func append(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func append(_ other: JSONBytes) { bytes.append(contentsOf: other.bytes) }

    mutating func append(_ number: Int) {
        if number < 0 { bytes.append(UInt8(ascii: "-")) }
        var rest = number.magnitude
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var first = digits.count
            repeat {
                first -= 1
                digits[first] = UInt8(truncatingIfNeeded: rest % 10) + UInt8(ascii: "0")
                rest /= 10
            } while rest > 0 && first > 0
            bytes.append(contentsOf: UnsafeMutableBufferPointer(rebasing: digits[first...]))
        }
    }

    /// 16 digits.
    mutating func append(hexadecimal number: UInt64) {
        for half in [UInt32(truncatingIfNeeded: number >> 32), UInt32(truncatingIfNeeded: number)] {
            withUnsafeBytes(of: HexadecimalDigits.digits(of: half).bigEndian) { bytes.append(contentsOf: $0) }
        }
    }

    mutating func append(_ id: TraceID) {
        append(hexadecimal: id.high)
        append(hexadecimal: id.low)
    }

    /// A JSON string (RFC 8259 section 7), quotes included.
    mutating func append(string text: String) {
        var text = text
        let isPlain = text.withUTF8 { utf8 in
            guard utf8.allSatisfy({ $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) else {
                return false
            }
            bytes.append(UInt8(ascii: "\""))
            bytes.append(contentsOf: utf8)
            bytes.append(UInt8(ascii: "\""))
            return true
        }
        if !isPlain { bytes.append(contentsOf: JSONText.string(text).utf8) }
    }
}
