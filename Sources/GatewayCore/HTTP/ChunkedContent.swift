import NIOCore

/// Undoes the chunked transfer coding (RFC 9112 section 7.1), byte run by byte run, without ever reading ahead.
///
/// Chunk extensions and trailer fields are checked for their form and dropped.
struct ChunkedContent: Equatable, Sendable {
    enum Progress: Equatable { case incomplete, complete, tooLarge }

    private enum State: Equatable {
        /// Can transition to: data, trailer.
        case sizeLine
        /// `remaining` bytes of the chunk are still to come. Can transition to: dataEnd.
        case data(remaining: Int)
        /// The CR LF behind a chunk's data. Can transition to: sizeLine.
        case dataEnd
        /// Can transition to: complete.
        case trailer
        case complete
    }

    /// Size lines and trailer lines are short; a peer that sends longer ones is wasting our memory.
    static let lineLimitBytes = 1024
    static let trailerLimitBytes = 8192

    private var state = State.sizeLine
    private var trailerBytes = 0
    private(set) var content = ByteBuffer()
    private let limitBytes: Int

    init(limitBytes: Int) {
        self.limitBytes = limitBytes
    }

    /// Takes as many bytes from `buffer` as belong to this content.
    mutating func consume(_ buffer: inout ByteBuffer) throws(FramingError) -> Progress {
        while true {
            switch state {
            case .sizeLine:
                guard let line = try Self.takeLine(from: &buffer) else { return .incomplete }
                let size = try Self.chunkSize(line)
                guard size <= limitBytes - content.readableBytes else { return .tooLarge }
                state = size == 0 ? .trailer : .data(remaining: size)
            case .data(let remaining):
                guard buffer.readableBytes > 0 else { return .incomplete }
                guard var part = buffer.readSlice(length: min(remaining, buffer.readableBytes)) else {
                    return .incomplete
                }
                let count = content.writeBuffer(&part)
                state = count == remaining ? .dataEnd : .data(remaining: remaining - count)
            case .dataEnd:
                guard let line = try Self.takeLine(from: &buffer) else { return .incomplete }
                guard line.readableBytes == 0 else {
                    throw FramingError("the data of a chunk is longer than its size line says")
                }
                state = .sizeLine
            case .trailer:
                guard let line = try Self.takeLine(from: &buffer) else { return .incomplete }
                guard line.readableBytes > 0 else {
                    state = .complete
                    return .complete
                }
                trailerBytes += line.readableBytes
                guard trailerBytes <= Self.trailerLimitBytes else {
                    throw FramingError("the trailer section is longer than \(Self.trailerLimitBytes) bytes")
                }
                try FieldLines.check(line.readableBytesUInt8Span)
            case .complete:
                return .complete
            }
        }
    }

    private static func takeLine(from buffer: inout ByteBuffer) throws(FramingError) -> ByteBuffer? {
        let view = buffer.readableBytesView.prefix(lineLimitBytes + 2)
        guard let lineFeed = view.firstIndex(of: UInt8(ascii: "\n")) else {
            guard view.count < lineLimitBytes + 2 else {
                throw FramingError("a line of the chunked coding is longer than \(lineLimitBytes) bytes")
            }
            return nil
        }
        let length = lineFeed - view.startIndex
        guard length > 0 && view[lineFeed - 1] == UInt8(ascii: "\r") else {
            throw FramingError("a line of the chunked coding ends in a bare line feed; lines end in CR LF")
        }
        let line = buffer.readSlice(length: length - 1)
        buffer.moveReaderIndex(forwardBy: 2)
        return line
    }

    /// `1*HEXDIG [chunk-ext]` (RFC 9112 section 7.1).
    private static func chunkSize(_ line: ByteBuffer) throws(FramingError) -> Int {
        let bytes = line.readableBytesUInt8Span
        var size = 0
        var index = 0
        while index < bytes.count, let digit = hexDigit(bytes[index]) {
            guard index < 8 else { throw FramingError("a chunk size has more than 8 digits") }
            size = size << 4 | Int(digit)
            index += 1
        }
        guard index > 0 else { throw FramingError("a chunk does not start with its size in hexadecimal") }
        while index < bytes.count {
            guard let end = ChunkExtension.end(of: bytes, from: index) else {
                throw FramingError("a chunk size is followed by something other than extensions")
            }
            index = end
        }
        return size
    }
}
