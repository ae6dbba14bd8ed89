import NIOCore

/// What a request says of the trace that it is a part of: the field `traceparent` (W3C Trace Context, section 3.2).
package struct TraceContext: Sendable {
    /// The id of the trace, 16 bytes that are never all zero.
    private let high: UInt64
    private let low: UInt64
    /// Of the caller's span, never zero.
    let parentID: UInt64

    /// Nil for whatever the standard calls invalid: an invalid `traceparent` is ignored.
    init?(parsing bytes: Span<UInt8>, _ field: Range<Int>) {
        // 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01; a later version may go on behind another dash.
        let start = field.lowerBound
        guard field.count >= 55, bytes[start + 2] == UInt8(ascii: "-"), bytes[start + 35] == UInt8(ascii: "-"),
            bytes[start + 52] == UInt8(ascii: "-"), let version = Self.number(bytes, start..<start + 2),
            let high = Self.number(bytes, start + 3..<start + 19),
            let low = Self.number(bytes, start + 19..<start + 35),
            let parentID = Self.number(bytes, start + 36..<start + 52),
            Self.number(bytes, start + 53..<start + 55) != nil
        else { return nil }
        guard version == 0 ? field.count == 55 : version != 0xFF else { return nil }
        guard field.count == 55 || bytes[start + 55] == UInt8(ascii: "-") else { return nil }
        guard high | low != 0, parentID != 0 else { return nil }
        (self.high, self.low, self.parentID) = (high, low, parentID)
    }

    /// At most 16 hexadecimal digits; lower case is the only one there is.
    private static func number(_ bytes: Span<UInt8>, _ range: Range<Int>) -> UInt64? {
        var value: UInt64 = 0
        for index in range {
            let byte = bytes[index]
            guard !(UInt8(ascii: "A")...UInt8(ascii: "F")).contains(byte), let digit = hexDigit(byte) else {
                return nil
            }
            value = value << 4 | UInt64(digit)
        }
        return value
    }

    /// 32 hexadecimal digits, as `traceparent` has them.
    var traceIDText: String {
        var text = ByteBuffer()
        Self.write(high, to: &text)
        Self.write(low, to: &text)
        return String(buffer: text)
    }

    /// Members `traceID` and `parentID` of a line of a log.
    func writeMembers(to text: inout ByteBuffer) {
        text.writeStaticString(",\"traceID\":\"")
        Self.write(high, to: &text)
        Self.write(low, to: &text)
        text.writeStaticString("\",\"parentID\":\"")
        Self.write(parentID, to: &text)
        text.writeStaticString("\"")
    }

    private static func write(_ number: UInt64, to text: inout ByteBuffer) {
        for shift in stride(from: 60, through: 0, by: -4) {
            let digit = UInt8(truncatingIfNeeded: number >> UInt64(shift)) & 0xF
            text.writeInteger(hexCharacter(digit))
        }
    }
}
