import GatewayCore
import NIOCore

/// Writing commands: an array of bulk strings, which is what servers of every version read.
extension ByteBuffer {
    mutating func writeRESPCommand(_ words: [String]) {
        writeRESPArrayHead(words.count)
        for word in words { writeRESPString(word) }
    }

    mutating func writeRESPArrayHead(_ count: Int) {
        writeStaticString("*")
        writeDecimal(count)
        writeStaticString("\r\n")
    }

    mutating func writeRESPString(_ text: String) {
        writeRESPStringHead(text.utf8.count)
        writeString(text)
        writeStaticString("\r\n")
    }

    /// As many bytes and a line end have to follow.
    mutating func writeRESPStringHead(_ bytes: Int) {
        writeStaticString("$")
        writeDecimal(bytes)
        writeStaticString("\r\n")
    }

    mutating func writeRESPInteger(_ value: Int) {
        writeRESPStringHead(Self.digits(value))
        writeDecimal(value)
        writeStaticString("\r\n")
    }

    private static func digits(_ value: Int) -> Int {
        var (digits, rest) = (1, max(0, value))
        while rest >= 10 {
            rest /= 10
            digits += 1
        }
        return digits
    }
}
