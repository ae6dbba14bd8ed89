import NIOCore

/// Percent-encoding of one path segment (RFC 3986 section 2).
package enum PercentEncoding {
    /// `text` as one segment of a path.
    package static func segment(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var buffer = ByteBuffer()
        encode(bytes.span, 0..<bytes.count, to: &buffer)
        return String(buffer: buffer)
    }

    /// Undoes the encoding of `range`; nil when a `%` is not followed by two hexadecimal digits.
    package static func decode(_ bytes: Span<UInt8>, _ range: Range<Int>) -> [UInt8]? {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(range.count)
        var index = range.lowerBound
        while index < range.upperBound {
            guard bytes[index] == UInt8(ascii: "%") else {
                decoded.append(bytes[index])
                index += 1
                continue
            }
            guard index + 2 < range.upperBound, let high = hexDigit(bytes[index + 1]),
                let low = hexDigit(bytes[index + 2])
            else { return nil }
            decoded.append(high << 4 | low)
            index += 3
        }
        return decoded
    }

    /// Writes `bytes` so that they are one segment whatever they hold: all but unreserved characters are encoded.
    static func encode(_ bytes: Span<UInt8>, _ range: Range<Int>, to buffer: inout ByteBuffer) {
        for index in range {
            let byte = bytes[index]
            if isUnreserved(byte) {
                buffer.writeInteger(byte)
            } else {
                buffer.writeInteger(UInt8(ascii: "%"))
                buffer.writeInteger(upperHexDigit(byte >> 4))
                buffer.writeInteger(upperHexDigit(byte & 0xF))
            }
        }
    }

    /// RFC 3986 section 2.3.
    @inline(__always)
    static func isUnreserved(_ byte: UInt8) -> Bool {
        // A bit for each: `-`, `.` and digits; letters, `_` and `~`.
        ByteSet(low: 0x03FF_6000_0000_0000, high: 0x47FF_FFFE_87FF_FFFE).contains(byte)
    }

    private static func upperHexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
    }
}
