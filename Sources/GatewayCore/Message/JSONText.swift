import NIOCore

/// The little JSON that the data plane writes itself.
package enum JSONText {
    /// `text` as a JSON string, quotes included.
    package static func string(_ text: String) -> String {
        var buffer = ByteBuffer()
        writeString(text, to: &buffer)
        return String(buffer: buffer)
    }

    /// Writes `text` as a JSON string (RFC 8259 section 7), quotes included.
    static func writeString(_ text: String, to buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                buffer.writeInteger(UInt8(ascii: "\\"))
                buffer.writeInteger(byte)
            case UInt8(ascii: "\n"): buffer.writeStaticString("\\n")
            case UInt8(ascii: "\r"): buffer.writeStaticString("\\r")
            case UInt8(ascii: "\t"): buffer.writeStaticString("\\t")
            case 0..<0x20:
                buffer.writeStaticString("\\u00")
                for digit in [byte >> 4, byte & 0xF] {
                    buffer.writeInteger(hexCharacter(digit))
                }
            default: buffer.writeInteger(byte)
            }
        }
        buffer.writeInteger(UInt8(ascii: "\""))
    }

    /// Whether Amazon's SDKs can read `content` as the content of an error: a JSON object whose `code`, if there is
    /// one, is an integer. On anything else the Python SDK throws a parse error, and the caller never sees the status.
    static func isReadableError(_ content: ByteBuffer) -> Bool {
        let bytes = content.readableBytesUInt8Span
        do {
            return try isObjectWithIntegerCode(bytes)
        } catch {
            return false
        }
    }

    private static func isObjectWithIntegerCode(_ bytes: Span<UInt8>) throws(MessageError) -> Bool {
        var scanner = JSONScanner()
        var index = JSONScanner.skipWhitespace(bytes, from: 0)
        guard index < bytes.count && bytes[index] == UInt8(ascii: "{") else { return false }
        let end = try scanner.object(bytes, from: index, depth: 0)
        guard JSONScanner.skipWhitespace(bytes, from: end) == bytes.count else { return false }
        index = JSONScanner.skipWhitespace(bytes, from: index + 1)
        while bytes[index] != UInt8(ascii: "}") {
            let name = index
            index = try scanner.memberName(bytes, from: index)
            let isCode = index - name >= 7 && bytes.isEqual(name..<name + 6, to: "\"code\"")
            let value = index
            index = try scanner.value(bytes, from: index, depth: 1)
            if isCode && !isInteger(bytes, value..<index) { return false }
            index = JSONScanner.skipWhitespace(bytes, from: index)
            if bytes[index] == UInt8(ascii: ",") { index = JSONScanner.skipWhitespace(bytes, from: index + 1) }
        }
        return true
    }

    private static func isInteger(_ bytes: Span<UInt8>, _ value: Range<Int>) -> Bool {
        let digits = bytes[value.lowerBound] == UInt8(ascii: "-") ? value.dropFirst() : value
        return bytes.decimal(digits) != nil
    }
}
