package import NIOCore

/// Names one trace: 16 bytes that are never all zero.
package struct TraceID: Hashable, Sendable {
    package let high: UInt64
    package let low: UInt64

    /// 32 hexadecimal digits, as `traceparent` has them.
    package var text: String {
        var buffer = ByteBuffer()
        write(to: &buffer)
        return String(buffer: buffer)
    }

    package func write(to buffer: inout ByteBuffer) {
        buffer.writePieces(limit: 32) { write(to: &$0) }
    }

    func write(to pieces: inout PieceWriter) {
        pieces.write(hexadecimal: high)
        pieces.write(hexadecimal: low)
    }
}

/// What is known of the trace that a request is a part of.
package struct TraceContext: Equatable, Sendable {
    package let id: TraceID
    /// Of the caller's span, never zero; nil: the trace begins here.
    package let parentID: UInt64?
    /// Somebody records the trace: the caller says so, or the gateway does it itself.
    package var isSampled: Bool
    /// Of the gateway's own span; nil: it makes none.
    package var spanID: UInt64?

    init(_ id: TraceID, parentID: UInt64?, isSampled: Bool, spanID: UInt64? = nil) {
        (self.id, self.parentID, self.isSampled, self.spanID) = (id, parentID, isSampled, spanID)
    }

    /// Parses the field `traceparent` (W3C Trace Context, section 3.2). Nil for whatever the standard calls invalid: an invalid
    /// `traceparent` is ignored.
    init?(parsing bytes: Span<UInt8>, _ field: Range<Int>) {
        // 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01; a later version may go on behind another dash.
        let start = field.lowerBound
        guard field.count >= 55, bytes[start + 2] == UInt8(ascii: "-"), bytes[start + 35] == UInt8(ascii: "-"),
            bytes[start + 52] == UInt8(ascii: "-"), let version = Self.number(bytes, start..<start + 2),
            let high = Self.number(bytes, start + 3..<start + 19),
            let low = Self.number(bytes, start + 19..<start + 35),
            let parentID = Self.number(bytes, start + 36..<start + 52),
            let flags = Self.number(bytes, start + 53..<start + 55)
        else { return nil }
        guard version == 0 ? field.count == 55 : version != 0xFF else { return nil }
        guard field.count == 55 || bytes[start + 55] == UInt8(ascii: "-") else { return nil }
        guard high | low != 0, parentID != 0 else { return nil }
        self.init(TraceID(high: high, low: low), parentID: parentID, isSampled: flags & 1 != 0)
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

    /// Members `traceID`, `parentID` and `spanID` of a line of a log.
    func writeMembers(withSpan: Bool, to text: inout ByteBuffer) {
        text.writeStaticString(",\"traceID\":\"")
        id.write(to: &text)
        text.writeStaticString("\"")
        if let parentID {
            text.writeStaticString(",\"parentID\":\"")
            text.writeHexadecimal(parentID)
            text.writeStaticString("\"")
        }
        if withSpan, let spanID {
            text.writeStaticString(",\"spanID\":\"")
            text.writeHexadecimal(spanID)
            text.writeStaticString("\"")
        }
    }
}
