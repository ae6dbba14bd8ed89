import GatewayCore
import NIOCore

@testable import GatewayServer

/// A client that sends whatever it is told to, and sees what comes back.
struct TestClient {
    static let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    var state: HTTP2ServerState
    var now = start
    /// Requests that nobody has answered, in their order.
    private(set) var requests: [(request: InboundRequest, stream: UInt32)] = []
    private(set) var begun: [(stream: UInt32, expectsContinue: Bool)] = []
    private(set) var refusals: [Refusal] = []
    private(set) var refusedHeads: [Bool] = []
    private(set) var isClosed = false
    /// All that came, in its order, acknowledgements of settings and the preface left out.
    private(set) var frames: [HTTP2Frame] = []
    /// How many frames had come before each acknowledgement of settings.
    private(set) var acknowledgements: [Int] = []
    private var reader = HTTP2FrameReader()
    /// Whether requests are answered as they come, with 202 and nothing else.
    var answers = false

    init(
        streams: Int = 100, contentBytes: Int = 64 * 1024, answers: Bool = false,
        settings: [(HTTP2Setting, UInt32)] = [],
        starts: Bool = true
    ) {
        self.answers = answers
        var limits = HTTP2ServerState.Limits()
        limits.streams = streams
        limits.requests.contentBytes = contentBytes
        state = HTTP2ServerState(
            limits: limits,
            HTTPConnectionState.Timeouts(
                head: .seconds(5), content: .seconds(10), idle: .seconds(75), write: .seconds(10)),
            now: now)
        guard starts else { return }
        send {
            $0.writeImmutableBuffer(HTTP2Frame.preface)
            $0.writeSettings(settings)
        }
        frames = []
    }

    mutating func send(_ write: (inout ByteBuffer) -> Void) {
        var bytes = ByteBuffer()
        write(&bytes)
        state.receive(bytes)
        while state.next(now: now) { perform() }
        state.readEnded()
        perform()
    }

    mutating func pass(_ time: TimeAmount, isReading: Bool = true) {
        now = now + time
        state.timePassed(now: now, isReading: isReading)
        perform()
    }

    mutating func perform() {
        while let action = state.actions.popFirst() {
            switch action {
            case .request(let request, let stream):
                requests.append((request, stream))
                if answers { answerFirst() }
            case .begun(_, let stream, let expectsContinue): begun.append((stream, expectsContinue))
            case .refused(let refusal, _, let stream):
                refusals.append(refusal)
                refusedHeads.append(state.isHead(stream: stream))
                state.respond(
                    ByteBuffer(string: "HTTP/1.1 \(refusal.problem.row.status) No\r\nContent-Length: 0\r\n\r\n"),
                    stream: stream, now: now)
            case .close: isClosed = true
            }
        }
        read()
    }

    mutating func answerFirst(_ response: String = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n") {
        let (_, stream) = requests.removeFirst()
        respond(response, stream: stream)
    }

    mutating func respond(_ response: String, stream: UInt32) {
        state.respond(ByteBuffer(string: response), stream: stream, now: now)
        perform()
    }

    private mutating func read() {
        reader.receive(state.output)
        state.output = ByteBuffer()
        while let frame = try? reader.next() {
            if frame.kind == .settings && frame.has(HTTP2Frame.Flag.acknowledgement) {
                acknowledgements.append(frames.count)
            } else {
                frames.append(frame)
            }
        }
    }

    // MARK: What came

    func frames(_ kind: HTTP2Frame.Kind, stream: UInt32? = nil) -> [HTTP2Frame] {
        frames.filter { $0.kind == kind && (stream == nil || $0.stream == stream) }
    }

    /// Of the last GOAWAY.
    var connectionError: HTTP2Error.Code? {
        frames(.goAway).last.flatMap { frame in
            frame.payload.getInteger(at: frame.payload.readerIndex + 4, as: UInt32.self).flatMap(HTTP2Error.Code.init)
        }
    }

    /// Of the last RST_STREAM for a stream.
    func streamError(_ stream: UInt32) -> HTTP2Error.Code? {
        frames(.resetStream, stream: stream).last.flatMap { frame in
            (try? frame.resetCode()).flatMap(HTTP2Error.Code.init)
        }
    }

    /// Room for content that a stream has got, in bytes.
    func windowUpdate(_ stream: UInt32) -> Int {
        frames(.windowUpdate, stream: stream).reduce(0) { $0 + ((try? $1.windowIncrement()) ?? 0) }
    }

    /// Of the response to a stream.
    func status(_ stream: UInt32) -> Int? {
        var decoder = HPACKReader(listLimit: 1 << 16, fieldLimit: 100)
        var fields = HTTP2Fields()
        for frame in frames(.headers, stream: stream) {
            guard (try? decoder.decode(frame.payload.readableBytesUInt8Span, into: &fields)) != nil else { return nil }
            let bytes = fields.bytes.span
            for field in fields.fields where bytes.isEqual(field.name, to: ":status") {
                return bytes.decimal(field.value)
            }
        }
        return nil
    }

    func content(_ stream: UInt32) -> String {
        frames(.data, stream: stream).map { String(buffer: $0.payload) }.joined()
    }
}

extension ByteBuffer {
    typealias Flag = HTTP2Frame.Flag

    mutating func writeFrame(_ kind: HTTP2Frame.Kind, flags: UInt8 = 0, stream: UInt32, _ payload: [UInt8] = []) {
        writeFrameHead(kind, flags: flags, stream: stream, length: payload.count)
        writeBytes(payload)
    }

    /// A request that is whole, if `fields` do not say otherwise.
    mutating func writeRequest(
        _ stream: UInt32, _ fields: [(String, String)] = TestClient.get, ends: Bool = true, padding: Int? = nil
    ) {
        let block = TestClient.block(fields)
        let flags = (ends ? Flag.endStream : 0) | Flag.endHeaders
        guard let padding else { return writeFrame(.headers, flags: flags, stream: stream, block) }
        writeFrame(
            .headers, flags: flags | Flag.padded, stream: stream,
            [UInt8(padding)] + block + [UInt8](repeating: 0, count: padding))
    }
}

extension TestClient {
    static let get = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "localhost")]
    static let post = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "localhost")]

    /// Literals without indexing and with new names (RFC 7541 section 6.2.2).
    static func block(_ fields: [(String, String)]) -> [UInt8] {
        var block = ByteBuffer()
        for (name, value) in fields {
            block.writeInteger(UInt8(0))
            block.writeHPACKString(ByteBuffer(string: name))
            block.writeHPACKString(ByteBuffer(string: value))
        }
        return Array(block.readableBytesView)
    }
}
