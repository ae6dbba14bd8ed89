public import NIOCore

/// What an upstream answered to one message: only what the gateway passes on.
public struct UpstreamAnswer: Equatable, Sendable {
    public var status: Int
    public var requestID: RequestID?
    public var retryAfter: String?
    public var contentType: String?
    public var content = ByteBuffer()

    public init(
        status: Int, requestID: RequestID? = nil, retryAfter: String? = nil, contentType: String? = nil,
        content: ByteBuffer = ByteBuffer()
    ) {
        self.status = status
        self.requestID = requestID
        self.retryAfter = retryAfter
        self.contentType = contentType
        self.content = content
    }
}

/// Reads the one answer to the one message in flight on an upstream connection. Pure: bytes in, answer out.
public struct ResponseAssembler: Sendable {
    public enum Event: Equatable {
        case needsMoreBytes
        /// The answer is complete. `isReusable`: the connection may carry another message.
        case answer(UpstreamAnswer, isReusable: Bool)
    }

    public static let headLimitBytes = 16 * 1024
    public static let contentLimitBytes = 64 * 1024
    private static let maximumFields = 128
    /// Interim (1xx) responses are skipped, but not for ever.
    private static let maximumInterimResponses = 8

    private enum State {
        /// Can transition to: length, chunked, untilClose, and head again after an interim response.
        case head(scanned: Int)
        case length(UpstreamAnswer, Int, keepsAlive: Bool)
        case chunked(UpstreamAnswer, ChunkedContent, keepsAlive: Bool)
        case untilClose(UpstreamAnswer)
    }

    private var state = State.head(scanned: 0)
    private var buffer = ByteBuffer()
    private var interimResponses = 0

    public init() {}

    public mutating func receive(_ bytes: ByteBuffer) throws(FramingError) -> Event {
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else {
            var bytes = bytes
            buffer.writeBuffer(&bytes)
        }
        return try advance()
    }

    /// The upstream closed its side in order. Only an answer that is delimited by that is complete.
    public func endOfStream() -> UpstreamAnswer? {
        guard case .untilClose(var answer) = state else { return nil }
        answer.content = buffer
        return answer
    }

    private mutating func advance() throws(FramingError) -> Event {
        while true {
            switch state {
            case .head(var scanned):
                let end = try FieldLines.end(of: buffer.readableBytesUInt8Span, scanned: &scanned)
                guard (end ?? scanned) <= Self.headLimitBytes else {
                    throw FramingError("the head is larger than \(Self.headLimitBytes) bytes")
                }
                guard let end, let head = buffer.readSlice(length: end) else {
                    state = .head(scanned: scanned)
                    return .needsMoreBytes
                }
                try readHead(head)
            case .length(var answer, let length, let keepsAlive):
                guard buffer.readableBytes >= length else { return .needsMoreBytes }
                if length > 0, let content = buffer.readSlice(length: length) { answer.content = content }
                return finish(answer, keepsAlive: keepsAlive)
            case .chunked(var answer, var chunks, let keepsAlive):
                state = .head(scanned: 0)  // lets `chunks` be changed in place
                switch try chunks.consume(&buffer) {
                case .incomplete:
                    state = .chunked(answer, chunks, keepsAlive: keepsAlive)
                    return .needsMoreBytes
                case .tooLarge:
                    throw FramingError("the content is larger than \(Self.contentLimitBytes) bytes")
                case .complete:
                    answer.content = chunks.content
                    return finish(answer, keepsAlive: keepsAlive)
                }
            case .untilClose:
                guard buffer.readableBytes <= Self.contentLimitBytes else {
                    throw FramingError("the content is larger than \(Self.contentLimitBytes) bytes")
                }
                return .needsMoreBytes
            }
        }
    }

    private mutating func readHead(_ head: ByteBuffer) throws(FramingError) {
        let bytes = head.readableBytesUInt8Span
        let parsed = try ResponseHead(parsing: bytes, maximumFields: Self.maximumFields)
        if parsed.status < 200 {
            interimResponses += 1
            guard parsed.status != 101 && interimResponses <= Self.maximumInterimResponses else {
                throw FramingError("interim responses do not end")
            }
            state = .head(scanned: 0)
            return
        }
        let answer = UpstreamAnswer(
            status: parsed.status,
            requestID: parsed.requestID.flatMap { RequestID(bytes, $0) },
            retryAfter: parsed.retryAfter.flatMap { Self.passable($0, of: bytes) },
            contentType: parsed.contentType.flatMap { Self.contentType($0, of: bytes) }
        )
        switch parsed.framing {
        case .none: state = .length(answer, 0, keepsAlive: parsed.keepsAlive)
        case .length(let length):
            guard length <= Self.contentLimitBytes else {
                throw FramingError("the content is larger than \(Self.contentLimitBytes) bytes")
            }
            state = .length(answer, length, keepsAlive: parsed.keepsAlive)
        case .chunked:
            state = .chunked(
                answer, ChunkedContent(limitBytes: Self.contentLimitBytes), keepsAlive: parsed.keepsAlive)
        case .untilClose: state = .untilClose(answer)
        }
    }

    /// Bytes behind an answer that nobody asked for make the connection useless: what would they answer?
    private mutating func finish(_ answer: UpstreamAnswer, keepsAlive: Bool) -> Event {
        let isReusable = keepsAlive && buffer.readableBytes == 0
        self = ResponseAssembler()
        return .answer(answer, isReusable: isReusable)
    }

    /// Usual ones are constants, which need no memory of their own.
    private static func contentType(_ value: Range<Int>, of bytes: Span<UInt8>) -> String? {
        if bytes.isEqual(value, to: "application/json") { return "application/json" }
        if bytes.isEqual(value, to: "application/octet-stream") { return "application/octet-stream" }
        return passable(value, of: bytes)
    }

    /// A field value that may go to the caller: printable ASCII, of a length that such a value can have.
    private static func passable(_ value: Range<Int>, of bytes: Span<UInt8>) -> String? {
        guard (1...128).contains(value.count) else { return nil }
        for index in value where !(0x20...0x7E).contains(bytes[index]) { return nil }
        return bytes.text(value)
    }
}
