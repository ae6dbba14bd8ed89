package import NIOCore

/// Cuts the bytes of one connection into requests. Pure: bytes in, requests or a refusal out.
///
/// It hands out one request at a time and looks at the bytes behind it only when asked again, so pipelined requests are
/// answered in order without a queue.
package struct RequestDecoder: ~Copyable, Sendable {
    package struct Limits: Equatable, Sendable {
        package var headBytes = 16 * 1024
        package var fields = 64
        package var contentBytes = 64 * 1024

        package init() {}
    }

    package enum Event {
        /// Nothing more can be said before more bytes come.
        case needsMoreBytes(Phase)
        case request(InboundRequest)
        /// The caller waits for `100 Continue`; told once per request, which has no content yet.
        case continueExpected(InboundRequest)
        /// The bytes are no request, or one too large. The connection cannot be used any further.
        case refused(RequestError)
    }

    /// What the connection is waiting for; each has its own time limit.
    package enum Phase: Equatable, Sendable { case idle, head, content }

    private enum State {
        /// `scanned` bytes of the buffer hold no end of a head. Can transition to: content.
        case head(scanned: Int)
        /// Can transition to: head.
        case content(RequestHead, headBytes: ByteBuffer, length: Int, toldToContinue: Bool)
        /// Can transition to: head.
        case chunked(RequestHead, headBytes: ByteBuffer, ChunkedContent, toldToContinue: Bool)
        case refused
    }

    private let limits: Limits
    /// Over TLS: what a target in absolute form has to say, too.
    private let isSecure: Bool
    private var state = State.head(scanned: 0)
    private var buffer = ByteBuffer()
    private var ids = ExchangeIDs()
    /// Of the request whose head was read last, until it is complete.
    private var id: ExchangeID?

    package init(limits: Limits = Limits(), isSecure: Bool = false) {
        self.limits = limits
        self.isSecure = isSecure
    }

    /// How many bytes wait behind the request that was handed out last.
    package var bufferedBytes: Int { buffer.readableBytes }

    /// Adds bytes read from the connection. They are not copied while nothing is waiting before them.
    package mutating func receive(_ bytes: ByteBuffer) {
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else {
            var bytes = bytes
            buffer.writeBuffer(&bytes)
        }
    }

    /// Of the request that has not come whole, or of bytes that are none.
    package mutating func idOfRefused() -> ExchangeID { id ?? ids.next() }

    package mutating func next() -> Event {
        do {
            return try advance()
        } catch {
            state = .refused
            return .refused(.malformed(error.detail))
        }
    }

    private mutating func advance() throws(FramingError) -> Event {
        while true {
            switch state {
            case .head(let scanned):
                if let event = try readHead(scanned: scanned) { return event }
            case .content(let head, let headBytes, let length, let toldToContinue):
                if buffer.readableBytes >= length, let content = buffer.readSlice(length: length) {
                    return finish(head, headBytes, content)
                }
                if head.expectsContinue && !toldToContinue {
                    state = .content(head, headBytes: headBytes, length: length, toldToContinue: true)
                    return .continueExpected(request(head, headBytes, ByteBuffer()))
                }
                return .needsMoreBytes(.content)
            case .chunked(let head, let headBytes, var chunks, let toldToContinue):
                state = .refused  // lets `chunks` be changed in place
                switch try chunks.consume(&buffer) {
                case .complete:
                    return finish(head, headBytes, chunks.content)
                case .tooLarge:
                    return refuseContent("is larger than")
                case .incomplete:
                    let expects = head.expectsContinue && !toldToContinue
                    state = .chunked(head, headBytes: headBytes, chunks, toldToContinue: toldToContinue || expects)
                    guard expects else { return .needsMoreBytes(.content) }
                    return .continueExpected(request(head, headBytes, ByteBuffer()))
                }
            case .refused:
                return .needsMoreBytes(.idle)
            }
        }
    }

    /// Nil when a head was read and its content comes next.
    private mutating func readHead(scanned: Int) throws(FramingError) -> Event? {
        var scanned = scanned
        if scanned == 0 {
            skipEmptyLines()
            // A carriage return alone says no more than nothing.
            let isLoneReturn =
                buffer.readableBytes == 1 && buffer.getInteger(at: buffer.readerIndex) == UInt8(ascii: "\r")
            if buffer.readableBytes == 0 || isLoneReturn { return .needsMoreBytes(.idle) }
        }
        let end = try FieldLines.end(
            of: buffer.readableBytesUInt8Span, scanned: &scanned, limit: limits.headBytes)
        let headBytes: ByteBuffer
        switch end {
        case .tooFar:
            state = .refused
            return .refused(.tooLarge("the head is larger than \(limits.headBytes) bytes"))
        case .notYet:
            state = .head(scanned: scanned)
            return .needsMoreBytes(.head)
        case .at(let end):
            guard let slice = buffer.readSlice(length: end) else { return .needsMoreBytes(.head) }
            headBytes = slice
        }
        let head = try RequestHead(
            parsing: headBytes.readableBytesUInt8Span, maximumFields: limits.fields, isSecure: isSecure)
        id = head.requestID.flatMap { ExchangeID($0, of: headBytes) } ?? ids.next()
        switch head.framing {
        case .none:
            return finish(head, headBytes, ByteBuffer())
        case .length(let length):
            guard length <= limits.contentBytes else { return refuseContent("is \(length) bytes, more than") }
            if let content = buffer.readSlice(length: length) { return finish(head, headBytes, content) }
            state = .content(head, headBytes: headBytes, length: length, toldToContinue: false)
        case .chunked:
            state = .chunked(
                head, headBytes: headBytes, ChunkedContent(limitBytes: limits.contentBytes), toldToContinue: false)
        }
        return nil
    }

    /// RFC 9112 section 2.2: empty lines before the request line are ignored.
    private mutating func skipEmptyLines() {
        while buffer.readableBytes >= 2, buffer.getInteger(at: buffer.readerIndex, as: UInt16.self) == 0x0D0A {
            buffer.moveReaderIndex(forwardBy: 2)
        }
    }

    private mutating func finish(_ head: RequestHead, _ headBytes: ByteBuffer, _ content: ByteBuffer) -> Event {
        state = .head(scanned: 0)
        // Whoever read the bytes can read the next ones to the same place, once the request is done with.
        if buffer.readableBytes == 0 { buffer = ByteBuffer() }
        defer { id = nil }
        return .request(request(head, headBytes, content))
    }

    private mutating func request(_ head: RequestHead, _ headBytes: ByteBuffer, _ content: ByteBuffer) -> InboundRequest
    {
        InboundRequest(head: head, headBytes: headBytes, content: content, id: id ?? ids.next())
    }

    private mutating func refuseContent(_ what: String) -> Event {
        state = .refused
        return .refused(.tooLarge("the content \(what) \(limits.contentBytes) bytes"))
    }
}
