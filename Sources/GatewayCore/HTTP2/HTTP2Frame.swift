package import NIOCore

/// One frame, as it was read (RFC 9113 section 4.1).
package struct HTTP2Frame {
    package static let headBytes = 9
    /// What a client writes before its first frame (RFC 9113 section 3.4).
    package static let preface = ByteBuffer(string: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

    package enum Kind: UInt8, Sendable {
        case data = 0x0
        case headers = 0x1
        case priority = 0x2
        case resetStream = 0x3
        case settings = 0x4
        case pushPromise = 0x5
        case ping = 0x6
        case goAway = 0x7
        case windowUpdate = 0x8
        case continuation = 0x9
    }

    /// What a bit means depends on the kind.
    package enum Flag {
        package static let endStream: UInt8 = 0x1
        package static let acknowledgement: UInt8 = 0x1
        package static let endHeaders: UInt8 = 0x4
        package static let padded: UInt8 = 0x8
        package static let priority: UInt8 = 0x20
    }

    /// Nil for one that is not known, which is to be ignored.
    package var kind: Kind?
    package var flags: UInt8
    package var stream: UInt32
    package var payload: ByteBuffer

    package func has(_ flag: UInt8) -> Bool { flags & flag != 0 }

    /// The payload of `DATA` or `HEADERS` without padding and priority (RFC 9113 sections 6.1 and 6.2).
    package func unpadded() throws(HTTP2Error) -> ByteBuffer {
        var content = payload
        if has(Flag.padded) {
            guard let padding: UInt8 = content.readInteger(), Int(padding) <= content.readableBytes else {
                throw HTTP2Error(.protocolError, "a frame has more padding than content")
            }
            content.moveWriterIndex(to: content.writerIndex - Int(padding))
        }
        if kind == .headers && has(Flag.priority) {
            guard let dependency: UInt32 = content.readInteger(), content.readInteger(as: UInt8.self) != nil else {
                throw HTTP2Error(.frameSizeError, "HEADERS are too short for their priority")
            }
            guard dependency & 0x7FFF_FFFF != stream else {
                throw HTTP2Error(.protocolError, "stream \(stream) depends on itself")
            }
        }
        return content
    }
}

/// Parts what is read from a connection into frames.
package struct HTTP2FrameReader {
    /// The default of `SETTINGS_MAX_FRAME_SIZE`, in bytes. More is never asked for.
    package static let payloadLimit = 16_384

    private var buffer = ByteBuffer()

    package init() {}

    package mutating func receive(_ bytes: ByteBuffer) {
        guard buffer.readableBytes > 0 else {
            buffer = bytes
            return
        }
        // Frames that are not taken yet: what comes behind them is added in place.
        guard buffer.readableBytes < HTTP2Frame.headBytes + Self.payloadLimit else {
            buffer.writeImmutableBuffer(bytes)
            return
        }
        // Part of a frame. What has been read before it is let go.
        var joined = ByteBuffer()
        joined.reserveCapacity(buffer.readableBytes + bytes.readableBytes)
        joined.writeImmutableBuffer(buffer)
        joined.writeImmutableBuffer(bytes)
        buffer = joined
    }

    /// Whether part of a frame has come.
    package var isWithinFrame: Bool { buffer.readableBytes > 0 }

    /// Passes over as much of `expected` as has come. False if something else has.
    package mutating func skip(_ expected: inout ByteBuffer) -> Bool {
        let length = min(buffer.readableBytes, expected.readableBytes)
        return buffer.readSlice(length: length) == expected.readSlice(length: length)
    }

    /// Nil if more bytes are needed.
    package mutating func next() throws(HTTP2Error) -> HTTP2Frame? {
        let start = buffer.readerIndex
        guard let word: UInt32 = buffer.getInteger(at: start) else { return nil }
        let length = Int(word >> 8)
        guard length <= Self.payloadLimit else {
            throw HTTP2Error(.frameSizeError, "a frame has \(length) bytes; at most \(Self.payloadLimit) are taken")
        }
        guard buffer.readableBytes >= HTTP2Frame.headBytes + length,
            let flags: UInt8 = buffer.getInteger(at: start + 4),
            let stream: UInt32 = buffer.getInteger(at: start + 5)
        else { return nil }
        buffer.moveReaderIndex(forwardBy: HTTP2Frame.headBytes)
        guard let payload = buffer.readSlice(length: length) else { return nil }
        // Whoever reads the socket fills the same memory again, unless somebody still looks at it.
        if buffer.readableBytes == 0 { buffer = ByteBuffer() }
        return HTTP2Frame(
            kind: HTTP2Frame.Kind(rawValue: UInt8(truncatingIfNeeded: word)), flags: flags,
            stream: stream & 0x7FFF_FFFF, payload: payload)
    }
}

extension ByteBuffer {
    package mutating func writeFrameHead(_ kind: HTTP2Frame.Kind, flags: UInt8 = 0, stream: UInt32, length: Int) {
        writePieces(limit: HTTP2Frame.headBytes) { pieces in
            pieces.write(UInt32(truncatingIfNeeded: length) << 8 | UInt32(kind.rawValue))
            pieces.write(flags)
            pieces.write(stream)
        }
    }

    /// Where `HEADERS` start; their block is to be written behind it, and `endHeaders` to follow.
    package mutating func startHeaders() -> Int {
        writeFrameHead(.headers, stream: 0, length: 0)
        return writerIndex - HTTP2Frame.headBytes
    }

    /// Parts a block that is too long for one frame (RFC 9113 section 4.3).
    ///
    /// - Parameter start: of `HEADERS`.
    package mutating func endHeaders(at start: Int, stream: UInt32, endsStream: Bool) {
        let flags = endsStream ? HTTP2Frame.Flag.endStream : 0
        let length = writerIndex - start - HTTP2Frame.headBytes
        let end = writerIndex
        let block =
            length > HTTP2FrameReader.payloadLimit
            ? getBytes(at: start + HTTP2Frame.headBytes, length: length) ?? [] : []
        moveWriterIndex(to: start)
        guard length > HTTP2FrameReader.payloadLimit else {
            writeFrameHead(.headers, flags: flags | HTTP2Frame.Flag.endHeaders, stream: stream, length: length)
            moveWriterIndex(to: end)
            return
        }
        var rest = block[...]
        var kind = HTTP2Frame.Kind.headers
        while !rest.isEmpty {
            let part = rest.prefix(HTTP2FrameReader.payloadLimit)
            rest = rest.dropFirst(part.count)
            let end = rest.isEmpty ? HTTP2Frame.Flag.endHeaders : 0
            writeFrameHead(kind, flags: end | (kind == .headers ? flags : 0), stream: stream, length: part.count)
            writeBytes(part)
            kind = .continuation
        }
    }

    /// - Parameter settings: identifiers and values (RFC 9113 section 6.5.2).
    package mutating func writeSettings(_ settings: [(HTTP2Setting, UInt32)]) {
        writeFrameHead(.settings, stream: 0, length: 6 * settings.count)
        for (setting, value) in settings {
            writeInteger(setting.rawValue)
            writeInteger(value)
        }
    }

    package mutating func writeSettingsAcknowledgement() {
        writeFrameHead(.settings, flags: HTTP2Frame.Flag.acknowledgement, stream: 0, length: 0)
    }

    package mutating func writeWindowUpdate(stream: UInt32, by bytes: Int) {
        writeFrameHead(.windowUpdate, stream: stream, length: 4)
        writeInteger(UInt32(truncatingIfNeeded: bytes))
    }

    package mutating func writePing(_ data: UInt64, isAcknowledgement: Bool) {
        writeFrameHead(.ping, flags: isAcknowledgement ? HTTP2Frame.Flag.acknowledgement : 0, stream: 0, length: 8)
        writeInteger(data)
    }

    package mutating func writeReset(stream: UInt32, _ code: HTTP2Error.Code) {
        writeFrameHead(.resetStream, stream: stream, length: 4)
        writeInteger(code.rawValue)
    }

    package mutating func writeGoAway(last stream: UInt32, _ code: HTTP2Error.Code, _ detail: String = "") {
        let text = detail.utf8.prefix(128)
        writeFrameHead(.goAway, stream: 0, length: 8 + text.count)
        writeInteger(stream)
        writeInteger(code.rawValue)
        writeBytes(text)
    }
}

/// RFC 9113 section 6.5.2.
package enum HTTP2Setting: UInt16, Sendable {
    case headerTableSize = 0x1
    case enablePush = 0x2
    case maximumConcurrentStreams = 0x3
    case initialWindowSize = 0x4
    case maximumFrameSize = 0x5
    case maximumHeaderListSize = 0x6
}
