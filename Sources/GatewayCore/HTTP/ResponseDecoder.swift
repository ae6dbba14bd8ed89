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
        /// Can transition to: length, chunked, untilClose, overlong, and head again after an interim response.
        case head(scanned: Int)
        case length(Int)
        case chunked(ChunkedContent)
        case untilClose
        /// There is more content than is passed on: it ends where the limit is. Can transition to: head.
        case overlong(ByteBuffer)
    }

    private var state = State.head(scanned: 0)
    /// Without its content; nil before its head is complete.
    private var answer: UpstreamResponse?
    /// The connection may carry another message behind the answer.
    private var keepsAlive = false
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
        guard let answer else { return nil }
        return switch state {
        case .head: nil
        case .length: answer.cutShort(after: buffer)
        case .overlong(let content): Self.cutShort(answer, content, buffer)
        case .chunked(let chunks): answer.cutShort(after: chunks.content)
        case .untilClose: answer.with(buffer)
        }
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
            case .length(let length):
                guard buffer.readableBytes >= length else { return .needsMoreBytes }
                guard length > 0, let content = buffer.readSlice(length: length) else { return finish { $0 } }
                return finish { $0.with(content) }
            case .chunked(var chunks):
                state = .untilClose  // lets `chunks` be changed in place
                switch try? chunks.consume(&buffer) {
                case .incomplete:
                    state = .chunked(chunks)
                    return .needsMoreBytes
                case .complete: return finish { $0.with(chunks.content) }
                case .tooLarge: state = .overlong(chunks.content)
                case nil:
                    keepsAlive = false
                    return finish { $0.cutShort(after: chunks.content) }
                }
            case .untilClose:
                guard buffer.readableBytes > Self.contentLimitBytes else { return .needsMoreBytes }
                state = .overlong(ByteBuffer())
            case .overlong(let content):
                guard content.readableBytes + buffer.readableBytes >= Self.contentLimitBytes else {
                    return .needsMoreBytes
                }
                keepsAlive = false
                let more = buffer
                return finish { Self.cutShort($0, content, more) }
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
        answer = UpstreamResponse(
            status: parsed.status, requestID: parsed.requestID, retryAfter: parsed.retryAfter,
            contentType: parsed.contentType, of: bytes)
        keepsAlive = parsed.keepsAlive
        switch parsed.framing {
        case .none: state = .length(0)
        case .length(let length):
            state = length <= Self.contentLimitBytes ? .length(length) : .overlong(ByteBuffer())
        case .chunked: state = .chunked(ChunkedContent(limitBytes: Self.contentLimitBytes))
        case .untilClose: state = .untilClose
        }
    }

    /// Bytes behind an answer that nobody asked for make the connection useless: what would they answer?
    ///
    /// - Parameter complete: gives the answer its content.
    private mutating func finish(_ complete: (UpstreamResponse) -> UpstreamResponse) -> Event {
        guard let answer = answer.take() else { return .needsMoreBytes }
        let isReusable = keepsAlive && buffer.readableBytes == 0
        state = .head(scanned: 0)
        buffer = ByteBuffer()
        return .answer(complete(answer), isReusable: isReusable)
    }
}
