import NIOCore

/// Base64 (RFC 4648), as little of it as credentials need.
package enum Base64 {
    private static var urlAlphabet: StaticString {
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    }

    /// The alphabet for URLs, no padding (section 5).
    static func encodeForURL(_ bytes: [UInt8]) -> String {
        var text = ByteBuffer()
        bytes.withUnsafeBytes { writeForURL($0, to: &text) }
        return String(buffer: text)
    }

    /// The same, written to a buffer.
    static func writeForURL(_ bytes: UnsafeRawBufferPointer, to buffer: inout ByteBuffer) {
        let characters = (bytes.count * 4 + 2) / 3
        let alphabet = urlAlphabet.utf8Start
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: characters) { text in
            var (bits, count, written) = (UInt32(0), 0, 0)
            for byte in bytes {
                bits = bits << 8 | UInt32(byte)
                count += 8
                while count >= 6 {
                    count -= 6
                    text[written] = alphabet[Int(bits >> UInt32(count) & 0x3F)]
                    written += 1
                }
            }
            if count > 0 {
                text[written] = alphabet[Int(bits << UInt32(6 - count) & 0x3F)]
                written += 1
            }
            return written
        }
    }

    /// The plain alphabet, with padding (section 4).
    static func encode(_ bytes: [UInt8]) -> String {
        let unpadded = encodeForURL(bytes).map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }
        return String(unpadded) + String(repeating: "=", count: (4 - unpadded.count % 4) % 4)
    }

    /// What `encodeForURL` has written; nil for anything else.
    package static func decodeForURL(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        let isForURL = text.allSatisfy { byte in
            ![UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "=")].contains(byte)
        }
        return isForURL ? decode(text.span, text.span.indices) : nil
    }

    /// Either alphabet, with padding or without; nil for anything that `encode` would not have written (section 3.5).
    static func decode(_ bytes: Span<UInt8>, _ range: Range<Int>) -> [UInt8]? {
        var end = range.upperBound
        while end > range.lowerBound, range.upperBound - end < 2, bytes[end - 1] == UInt8(ascii: "=") { end -= 1 }
        guard end == range.upperBound || range.count % 4 == 0 else { return nil }
        var decoded: [UInt8] = []
        decoded.reserveCapacity(range.count * 3 / 4)
        var (bits, count) = (UInt32(0), 0)
        for index in range.lowerBound..<end {
            guard let value = value(of: bytes[index]) else { return nil }
            bits = bits << 6 | value
            count += 6
            if count >= 8 {
                count -= 8
                decoded.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        guard count < 6, bits & (1 << UInt32(count) - 1) == 0 else { return nil }
        return decoded
    }

    private static func value(of byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "-"), UInt8(ascii: "+"): 62
        case UInt8(ascii: "_"), UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
