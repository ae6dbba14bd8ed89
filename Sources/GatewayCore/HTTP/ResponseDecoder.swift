package import NIOCore

/// What an upstream answered to one message: only what the gateway passes on.
package struct UpstreamResponse: Equatable, Sendable {
    package var status: Int
    package var requestID: RequestID?
    package var retryAfter: String?
    package var contentType: String?
    package var content = ByteBuffer()

    package init(
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
package struct ResponseDecoder: ~Copyable, Sendable {
    package enum Event: Equatable {
        case needsMoreBytes
        /// The answer is complete. `isReusable`: the connection may carry another message.
        case answer(UpstreamResponse, isReusable: Bool)
    }

    package static let headLimitBytes = 16 * 1024
    package static let contentLimitBytes = 64 * 1024
    private static let maximumFields = 128
    private enum State {
        /// Can transition to: length, chunked, untilClose, and head again after an interim response.
        case head(scanned: Int)
        case length(UpstreamResponse, Int, keepsAlive: Bool)
        case chunked(UpstreamResponse, ChunkedContent, keepsAlive: Bool)
        case untilClose(UpstreamResponse)
        /// There is more content than is passed on: it ends where the limit is. Can transition to: head.
        case overlong(UpstreamResponse, ByteBuffer)
    }

    private var state = State.head(scanned: 0)
    private var buffer = ByteBuffer()

    package init() {}

    package mutating func receive(_ bytes: ByteBuffer) throws(FramingError) -> Event {
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else {
            var bytes = bytes
            buffer.writeBuffer(&bytes)
        }
        return try advance()
    }

    /// The answer as far as it came, for when no more of it will: with its head its status is known, and so is what became of
    /// the message. Nil before that.
    package func answerSoFar() -> UpstreamResponse? {
        switch state {
        case .head: nil
        case .length(let answer, _, _): Self.cutShort(answer, buffer)
        case .overlong(let answer, let content): Self.cutShort(answer, content, buffer)
        case .chunked(let answer, let chunks, _): Self.cutShort(answer, chunks.content)
        case .untilClose(let answer): Self.complete(answer, buffer)
        }
    }

    private static func complete(_ answer: UpstreamResponse, _ content: ByteBuffer) -> UpstreamResponse {
        var answer = answer
        answer.content = content
        return answer
    }

    /// Of an error, part of the text is better than nothing. Part of anything else would be taken for the whole.
    private static func cutShort(
        _ answer: UpstreamResponse, _ content: ByteBuffer, _ more: ByteBuffer = ByteBuffer()
    ) -> UpstreamResponse {
        guard answer.status >= 400 else { return answer }
        var content = content
        content.writeImmutableBuffer(more)
        return complete(answer, content.readSlice(length: min(content.readableBytes, contentLimitBytes)) ?? content)
    }

    private mutating func advance() throws(FramingError) -> Event {
        while true {
            switch state {
            case .head(var scanned):
                let end = try FieldLines.end(
                    of: buffer.readableBytesUInt8Span, scanned: &scanned, limit: Self.headLimitBytes)
                switch end {
                case .tooFar: throw FramingError("the head is larger than \(Self.headLimitBytes) bytes")
                case .notYet:
                    state = .head(scanned: scanned)
                    return .needsMoreBytes
                case .at(let end):
                    guard let head = buffer.readSlice(length: end) else { return .needsMoreBytes }
                    try readHead(head)
                }
            case .length(let answer, let length, let keepsAlive):
                guard buffer.readableBytes >= length else { return .needsMoreBytes }
                let content = length > 0 ? buffer.readSlice(length: length) : nil
                return finish(content.map { Self.complete(answer, $0) } ?? answer, keepsAlive: keepsAlive)
            case .chunked(let answer, var chunks, let keepsAlive):
                state = .untilClose(answer)  // lets `chunks` be changed in place
                switch try? chunks.consume(&buffer) {
                case .incomplete:
                    state = .chunked(answer, chunks, keepsAlive: keepsAlive)
                    return .needsMoreBytes
                case .complete:
                    return finish(Self.complete(answer, chunks.content), keepsAlive: keepsAlive)
                case .tooLarge: state = .overlong(answer, chunks.content)
                case nil: return finish(Self.cutShort(answer, chunks.content), keepsAlive: false)
                }
            case .untilClose(let answer):
                guard buffer.readableBytes > Self.contentLimitBytes else { return .needsMoreBytes }
                state = .overlong(answer, ByteBuffer())
            case .overlong(let answer, let content):
                guard content.readableBytes + buffer.readableBytes >= Self.contentLimitBytes else {
                    return .needsMoreBytes
                }
                return finish(Self.cutShort(answer, content, buffer), keepsAlive: false)
            }
        }
    }

    private mutating func readHead(_ head: ByteBuffer) throws(FramingError) {
        let bytes = head.readableBytesUInt8Span
        let parsed = try ResponseHead(parsing: bytes, maximumFields: Self.maximumFields)
        if parsed.status < 200 {
            // However many come: none is kept, and the message's deadline ends them.
            guard parsed.status != 101 else { throw FramingError("status 101 answers no request of the gateway's") }
            state = .head(scanned: 0)
            return
        }
        let answer = UpstreamResponse(
            status: parsed.status,
            requestID: parsed.requestID.flatMap { RequestID(bytes, $0) },
            retryAfter: parsed.retryAfter.flatMap { Self.passable($0, of: bytes) },
            contentType: parsed.contentType.flatMap { Self.contentType($0, of: bytes) }
        )
        switch parsed.framing {
        case .none: state = .length(answer, 0, keepsAlive: parsed.keepsAlive)
        case .length(let length):
            state =
                length <= Self.contentLimitBytes
                ? .length(answer, length, keepsAlive: parsed.keepsAlive) : .overlong(answer, ByteBuffer())
        case .chunked:
            state = .chunked(
                answer, ChunkedContent(limitBytes: Self.contentLimitBytes), keepsAlive: parsed.keepsAlive)
        case .untilClose: state = .untilClose(answer)
        }
    }

    /// Bytes behind an answer that nobody asked for make the connection useless: what would they answer?
    private mutating func finish(_ answer: UpstreamResponse, keepsAlive: Bool) -> Event {
        let isReusable = keepsAlive && buffer.readableBytes == 0
        self = ResponseDecoder()
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
