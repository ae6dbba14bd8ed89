import GatewayCore
import NIOCore
import NIOHPACK

/// The other end of an HTTP/2 connection: reads what a client has written with another's header decoder, and writes what the test says.
struct ScriptedHTTP2Peer {
    static let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    struct Request: Equatable {
        var path: String
        var content: String
        var isComplete: Bool
    }

    private var reader = HTTP2FrameReader()
    private var decoder = HPACKDecoder(allocator: ByteBufferAllocator())
    private var encoder = HPACKEncoder(allocator: ByteBufferAllocator())
    private var hasPreface = false
    /// By stream.
    private(set) var requests: [UInt32: Request] = [:]
    private(set) var resets: [UInt32: UInt32] = [:]
    private(set) var settings: [UInt16: UInt32] = [:]
    private(set) var settingsAcknowledged = 0
    /// What had come of all contents when settings were acknowledged last.
    private(set) var contentAcknowledged = 0
    private(set) var pings: [UInt64] = []
    private(set) var pingsAcknowledged: [UInt64] = []
    private(set) var windowUpdates: [UInt32: Int] = [:]
    /// Code and text.
    private(set) var goneAway: (code: UInt32, detail: String)?

    mutating func read(_ output: inout ByteBuffer) throws {
        if !hasPreface, output.readString(length: Self.preface.utf8.count) == Self.preface { hasPreface = true }
        reader.receive(output)
        output.clear()
        while let frame = try reader.next() {
            var payload = frame.payload
            switch frame.kind {
            case .headers:
                let fields = try decoder.decodeHeaders(from: &payload)
                requests[frame.stream] = Request(
                    path: fields.first(name: ":path") ?? "", content: "",
                    isComplete: frame.has(HTTP2Frame.Flag.endStream))
            case .data:
                requests[frame.stream]?.content += String(buffer: payload)
                requests[frame.stream]?.isComplete = frame.has(HTTP2Frame.Flag.endStream)
            case .resetStream: resets[frame.stream] = payload.readInteger()
            case .settings:
                if frame.has(HTTP2Frame.Flag.acknowledgement) {
                    settingsAcknowledged += 1
                    contentAcknowledged = requests.values.reduce(0) { $0 + $1.content.utf8.count }
                }
                while let identifier: UInt16 = payload.readInteger() { settings[identifier] = payload.readInteger() }
            case .ping:
                guard let data: UInt64 = payload.readInteger() else { continue }
                if frame.has(HTTP2Frame.Flag.acknowledgement) {
                    pingsAcknowledged.append(data)
                } else {
                    pings.append(data)
                }
            case .goAway:
                payload.moveReaderIndex(forwardBy: 4)
                goneAway = (payload.readInteger() ?? 0, String(buffer: payload))
            case .windowUpdate:
                windowUpdates[frame.stream, default: 0] += Int(payload.readInteger(as: UInt32.self) ?? 0)
            default: break
            }
        }
    }

    // MARK: Frames

    static func frame(
        _ kind: HTTP2Frame.Kind, _ flags: UInt8 = 0, stream: UInt32 = 0, _ payload: ByteBuffer = ByteBuffer()
    ) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeFrameHead(kind, flags: flags, stream: stream, length: payload.readableBytes)
        buffer.writeImmutableBuffer(payload)
        return buffer
    }

    static func settings(_ settings: (HTTP2Setting, UInt32)...) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeSettings(settings)
        return buffer
    }

    static func data(_ stream: UInt32, _ content: String, ends: Bool = true) -> ByteBuffer {
        frame(.data, ends ? HTTP2Frame.Flag.endStream : 0, stream: stream, ByteBuffer(string: content))
    }

    static func reset(_ stream: UInt32, _ code: HTTP2Error.Code) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeReset(stream: stream, code)
        return buffer
    }

    static func goAway(last stream: UInt32, _ code: HTTP2Error.Code = .noError) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeGoAway(last: stream, code)
        return buffer
    }

    static func windowUpdate(_ stream: UInt32, by bytes: Int) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeWindowUpdate(stream: stream, by: bytes)
        return buffer
    }

    static func ping(_ data: UInt64, isAcknowledgement: Bool = false) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writePing(data, isAcknowledgement: isAcknowledgement)
        return buffer
    }

    /// - Parameter parts: frames that the block is parted into.
    mutating func head(
        _ stream: UInt32, _ fields: [(String, String)], ends: Bool = false, parts: Int = 1
    ) -> ByteBuffer {
        var block = ByteBuffer()
        guard (try? encoder.encode(headers: HPACKHeaders(fields), to: &block)) != nil else { return ByteBuffer() }
        var frames = ByteBuffer()
        for part in 0..<parts {
            let isLast = part == parts - 1
            let length = isLast ? block.readableBytes : block.readableBytes / 2
            let flags = (isLast ? HTTP2Frame.Flag.endHeaders : 0) | (part == 0 && ends ? HTTP2Frame.Flag.endStream : 0)
            frames.writeImmutableBuffer(
                Self.frame(
                    part == 0 ? .headers : .continuation, flags, stream: stream,
                    block.readSlice(length: length) ?? ByteBuffer()))
        }
        return frames
    }

    mutating func accepted(_ stream: UInt32, id: String = "id") -> ByteBuffer {
        head(stream, [(":status", "202"), ("x-amzn-requestid", id), ("date", "today")], ends: true)
    }
}

extension ByteBuffer {
    static func + (one: ByteBuffer, other: ByteBuffer) -> ByteBuffer {
        var sum = one
        sum.writeImmutableBuffer(other)
        return sum
    }
}
