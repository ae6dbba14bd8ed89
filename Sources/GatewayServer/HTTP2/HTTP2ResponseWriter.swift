import GatewayCore
import NIOCore

/// Writes responses as header blocks (RFC 9113 section 8.3.2), of what `ResponseEncoder` writes for HTTP/1.1: one place decides what a
/// response says, whichever protocol it goes by.
///
/// Nothing is to be remembered by the peer (RFC 7541 section 2.3.2): what is the same in all responses is short, and a table that depends
/// on messages would tell about them.
struct HTTP2ResponseWriter {
    /// Names of the static table (RFC 7541 appendix A), in lower case.
    private static let staticNames: [(name: StaticString, index: Int)] = [
        ("date", 33), ("allow", 22), ("link", 45), ("retry-after", 53), ("content-type", 31), ("cache-control", 24),
        ("content-length", 28), ("www-authenticate", 61),
    ]
    private static let statusIndices = [200: 8, 204: 9, 206: 10, 304: 11, 400: 12, 404: 13, 500: 14]

    /// Of which nothing is used; the peer has to be told its size where it changes.
    private var table = HPACKEncoderTable()

    /// `SETTINGS_HEADER_TABLE_SIZE` of the peer.
    mutating func tableOffered(_ bytes: Int) { table.offered(bytes) }

    /// Writes the head of `response`, and leaves its content.
    ///
    /// - Parameters:
    ///   - response: a whole response of HTTP/1.1.
    ///   - output: gets the frames.
    mutating func writeHead(_ response: inout ByteBuffer, stream: UInt32, to output: inout ByteBuffer) {
        let start = output.startHeaders()
        table.writeResize(to: &output)
        response.moveReaderIndex(forwardBy: Self.writeLines(of: response.readableBytesUInt8Span, to: &output))
        output.endHeaders(at: start, stream: stream, endsStream: response.readableBytes == 0)
    }

    /// `100 Continue`.
    mutating func writeContinue(stream: UInt32, to output: inout ByteBuffer) {
        let start = output.startHeaders()
        table.writeResize(to: &output)
        Self.writeStatus(100, to: &output)
        output.endHeaders(at: start, stream: stream, endsStream: false)
    }

    /// Returns where the content starts.
    private static func writeLines(of bytes: Span<UInt8>, to block: inout ByteBuffer) -> Int {
        // `HTTP/1.1 202 Accepted`
        if bytes.count > 12, let status = bytes.decimal(9..<12) { writeStatus(status, to: &block) }
        var next = bytes.lineEnd(from: 0) + 2
        while next < bytes.count {
            let end = bytes.lineEnd(from: next)
            guard end > next else { return min(end + 2, bytes.count) }
            writeField(bytes, next..<end, to: &block)
            next = end + 2
        }
        return bytes.count
    }

    private static func writeStatus(_ status: Int, to block: inout ByteBuffer) {
        if let index = Self.statusIndices[status] { return block.writeHPACKInteger(index, bits: 7, pattern: 0x80) }
        block.writeHPACKInteger(8, bits: 4, pattern: 0)
        block.writeHPACKInteger(3, bits: 7, pattern: 0)
        block.writeDecimal(status)
    }

    private static func writeField(_ bytes: Span<UInt8>, _ line: Range<Int>, to block: inout ByteBuffer) {
        guard let colon = line.first(where: { bytes[$0] == UInt8(ascii: ":") }) else { return }
        let name = line.lowerBound..<colon
        let value = min(colon + 2, line.upperBound)..<line.upperBound
        // Of HTTP/1.1 alone (RFC 9113 section 8.2.2).
        guard !bytes.isEqualIgnoringCase(name, to: "connection") else { return }
        let known = Self.staticNames.first { bytes.isEqualIgnoringCase(name, to: $0.name) }
        // Each of the numbers takes five bytes at most.
        block.writePieces(limit: 15 + name.count + value.count) { pieces in
            pieces.writeHPACKInteger(known?.index ?? 0, bits: 4, pattern: 0)
            if known == nil {
                pieces.writeHPACKInteger(name.count, bits: 7, pattern: 0)
                for index in name { pieces.write(bytes.lowercased(index)) }
            }
            pieces.writeHPACKInteger(value.count, bits: 7, pattern: 0)
            pieces.write(bytes, value)
        }
    }
}

extension Span where Element == UInt8 {
    /// The next CR; `count` if there is none.
    fileprivate func lineEnd(from start: Int) -> Int {
        var index = start
        while index < count && self[index] != UInt8(ascii: "\r") { index += 1 }
        return index
    }

    fileprivate func lowercased(_ index: Int) -> UInt8 {
        let byte = self[index]
        return (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }
}
