package import NIOCore

/// Reads the one answer to the one message in flight on an upstream connection. Pure: bytes in, answer out.
package struct ResponseDecoder: ~Copyable, Sendable {
    package enum Event: Equatable {
        case needsMoreBytes
        /// The answer is complete. `isReusable`: the connection may carry another message.
        case answer(UpstreamResponse, isReusable: Bool)
    }

    package static let headLimitBytes = 16 * 1024
    private static let contentLimitBytes = UpstreamResponse.contentLimitBytes
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
        case .length(let answer, _, _): answer.cutShort(after: buffer)
        case .overlong(let answer, let content): Self.cutShort(answer, content, buffer)
        case .chunked(let answer, let chunks, _): answer.cutShort(after: chunks.content)
        case .untilClose(let answer): Self.complete(answer, buffer)
        }
    }

    private static func complete(_ answer: UpstreamResponse, _ content: ByteBuffer) -> UpstreamResponse {
        var answer = answer
        answer.content = content
        return answer
    }

    private static func cutShort(
        _ answer: UpstreamResponse, _ content: ByteBuffer, _ more: ByteBuffer
    ) -> UpstreamResponse {
        var content = content
        content.writeImmutableBuffer(more)
        return answer.cutShort(after: content)
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
                case nil: return finish(answer.cutShort(after: chunks.content), keepsAlive: false)
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
            status: parsed.status, requestID: parsed.requestID, retryAfter: parsed.retryAfter,
            contentType: parsed.contentType, of: bytes)
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
}
