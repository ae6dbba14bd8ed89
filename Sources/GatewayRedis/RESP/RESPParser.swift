import GatewayCore
import NIOCore

/// What came is not the Redis protocol, or more than a server of records has reason to send.
struct RESPError: Error, Equatable {
    var detail: String

    init(_ detail: String) {
        self.detail = detail
    }
}

/// Takes replies off the front of what a Redis server sent. Pure: bytes in, values out, bounded.
///
/// A reply that has not come whole is looked at again from its start; only those of a few control commands are longer
/// than a packet.
enum RESPParser {
    static let limitBytes = 1 << 20
    private static let limitElements = 65_536
    private static let limitDepth = 8
    private static let limitLineBytes = 64 << 10

    /// The next reply, or nil until there are more bytes.
    static func next(_ buffer: inout ByteBuffer) throws(RESPError) -> RESPValue? {
        var index = 0
        guard let value = try value(buffer, at: &index, depth: 0) else {
            guard buffer.readableBytes <= limitBytes else {
                throw RESPError("a reply is longer than \(limitBytes) bytes")
            }
            return nil
        }
        buffer.moveReaderIndex(forwardBy: index)
        return value
    }

    private static func value(_ buffer: ByteBuffer, at index: inout Int, depth: Int) throws(RESPError) -> RESPValue? {
        let bytes = buffer.readableBytesUInt8Span
        guard index < bytes.count else { return nil }
        let type = bytes[index]
        guard let line = try line(bytes, after: index) else { return nil }
        index = line.upperBound + 2
        switch type {
        case UInt8(ascii: "+"), UInt8(ascii: ","), UInt8(ascii: "("): return .string(slice(buffer, line))
        case UInt8(ascii: "-"): return .error(String(buffer: slice(buffer, line)))
        case UInt8(ascii: ":"): return .integer(try integer(bytes, line))
        case UInt8(ascii: "#"): return .boolean(bytes.isEqualToByte(line, UInt8(ascii: "t")))
        case UInt8(ascii: "_"): return .null
        case UInt8(ascii: "$"), UInt8(ascii: "="), UInt8(ascii: "!"):
            guard let length = try length(bytes, line, limit: limitBytes) else { return .null }
            guard bytes.count - index >= length + 2 else { return nil }
            let content = index..<index + length
            guard bytes[content.upperBound] == UInt8(ascii: "\r"), bytes[content.upperBound + 1] == UInt8(ascii: "\n")
            else { throw RESPError("a string of \(length) bytes does not end there") }
            index = content.upperBound + 2
            if type == UInt8(ascii: "!") { return .error(String(buffer: slice(buffer, content))) }
            // A verbatim string begins with its format, three characters and a colon.
            let isVerbatim = type == UInt8(ascii: "=") && length >= 4
            return .string(slice(buffer, content.dropFirst(isVerbatim ? 4 : 0)))
        case UInt8(ascii: "*"), UInt8(ascii: "~"), UInt8(ascii: ">"), UInt8(ascii: "%"), UInt8(ascii: "|"):
            guard let count = try length(bytes, line, limit: limitElements) else { return .null }
            return try aggregate(buffer, type, count, at: &index, depth: depth)
        default:
            throw RESPError("no reply begins with byte \(type)")
        }
    }

    private static func aggregate(
        _ buffer: ByteBuffer, _ type: UInt8, _ count: Int, at index: inout Int, depth: Int
    ) throws(RESPError) -> RESPValue? {
        guard depth < limitDepth else { throw RESPError("replies are nested more than \(limitDepth) deep") }
        let isMap = type == UInt8(ascii: "%") || type == UInt8(ascii: "|")
        var elements: [RESPValue] = []
        for _ in 0..<(isMap ? count * 2 : count) {
            guard let element = try value(buffer, at: &index, depth: depth + 1) else { return nil }
            elements.append(element)
        }
        switch type {
        case UInt8(ascii: ">"): return .push(elements)
        // Attributes say something about the value that follows; nothing we asked for.
        case UInt8(ascii: "|"): return try value(buffer, at: &index, depth: depth + 1)
        default: return .array(elements)
        }
    }

    /// What stands between the type at `start` and the end of its line; nil until the line has come whole.
    private static func line(_ bytes: borrowing Span<UInt8>, after start: Int) throws(RESPError) -> Range<Int>? {
        var end = start + 1
        while end < bytes.count, bytes[end] != UInt8(ascii: "\r") {
            end += 1
            guard end - start <= limitLineBytes else {
                throw RESPError("a line is longer than \(limitLineBytes) bytes")
            }
        }
        guard end + 1 < bytes.count else { return nil }
        guard bytes[end + 1] == UInt8(ascii: "\n") else { throw RESPError("a carriage return stands alone") }
        return start + 1..<end
    }

    private static func integer(_ bytes: borrowing Span<UInt8>, _ line: Range<Int>) throws(RESPError) -> Int {
        let isNegative = !line.isEmpty && bytes[line.lowerBound] == UInt8(ascii: "-")
        guard let magnitude = bytes.decimal(isNegative ? line.dropFirst() : line) else {
            throw RESPError("a number is not one")
        }
        return isNegative ? -magnitude : magnitude
    }

    /// Nil for -1, which is how RESP2 says null.
    private static func length(
        _ bytes: borrowing Span<UInt8>, _ line: Range<Int>, limit: Int
    ) throws(RESPError) -> Int? {
        let length = try integer(bytes, line)
        if length == -1 { return nil }
        guard (0...limit).contains(length) else { throw RESPError("a length is \(length), beyond \(limit)") }
        return length
    }

    private static func slice(_ buffer: ByteBuffer, _ range: Range<Int>) -> ByteBuffer {
        buffer.getSlice(at: buffer.readerIndex + range.lowerBound, length: range.count) ?? ByteBuffer()
    }
}

extension Span where Element == UInt8 {
    fileprivate func isEqualToByte(_ range: Range<Int>, _ byte: UInt8) -> Bool {
        range.count == 1 && self[range.lowerBound] == byte
    }
}
