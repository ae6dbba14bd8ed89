package import NIOCore

/// One request over HTTP/2, as far as it has come (RFC 9113 section 8.1).
package struct HTTP2Request: Sendable {
    package enum Flaw: Error {
        /// It is answered by the gateway.
        case refused(RequestError, ExchangeID)
        /// Its stream is reset.
        case malformed
    }

    private let head: RequestHead
    private let headBytes: ByteBuffer
    package let id: ExchangeID
    private let limitBytes: Int
    package private(set) var content = ByteBuffer()

    fileprivate init(
        _ fields: HTTP2Fields, _ limits: RequestDecoder.Limits, _ ids: inout ExchangeIDs
    ) throws(Flaw) {
        guard !fields.isTooLarge else {
            throw .refused(
                .tooLarge(
                    "the head is larger than \(limits.headBytes) bytes, or has more than \(limits.fields) fields"),
                ids.next())
        }
        let bytes: ByteBuffer
        do {
            bytes = try HTTP2RequestHead.head(fields)
        } catch {
            throw .malformed
        }
        let head: RequestHead
        do {
            // Of whatever scheme: in front of a connection without TLS there may be a proxy that has one with it.
            head = try RequestHead(parsing: bytes.readableBytesUInt8Span, maximumFields: limits.fields + 1)
        } catch {
            throw .refused(.malformed(error.detail), ids.next())
        }
        self.head = head
        headBytes = bytes
        id = head.requestID.flatMap { ExchangeID($0, of: bytes) } ?? ids.next()
        limitBytes = limits.contentBytes
        if case .length(let length) = head.framing, length > limitBytes {
            throw .refused(.tooLarge("the content is \(length) bytes, more than \(limitBytes) bytes"), id)
        }
    }

    /// The client waits for a go-ahead before it sends the content (RFC 9110 section 10.1.1).
    package var expectsContinue: Bool { head.expectsContinue }

    /// - Parameter isLast: the stream ends with them.
    package mutating func receive(_ bytes: ByteBuffer, isLast: Bool) throws(Flaw) {
        if content.readableBytes == 0 && isLast {
            content = bytes
        } else {
            // Copied: what has to wait for the rest must not keep all that was read with it.
            content.writeImmutableBuffer(bytes)
        }
        if case .length(let length) = head.framing, content.readableBytes > length {
            throw .malformed
        }
        guard content.readableBytes <= limitBytes else {
            throw .refused(.tooLarge("the content is larger than \(limitBytes) bytes"), id)
        }
    }

    /// The stream has ended.
    package func complete() throws(Flaw) -> InboundRequest {
        if case .length(let length) = head.framing, content.readableBytes != length {
            throw .malformed
        }
        return InboundRequest(head: head, headBytes: headBytes, content: content, id: id)
    }

    /// What is kept of it, in bytes.
    package var bytes: Int { headBytes.readableBytes + content.readableBytes }

    /// What is known before the content has come.
    package var withoutContent: InboundRequest {
        InboundRequest(head: head, headBytes: headBytes, content: ByteBuffer(), id: id)
    }
}

/// Makes requests of the header blocks of one connection.
package struct HTTP2RequestReader: Sendable {
    private let limits: RequestDecoder.Limits
    private var ids = ExchangeIDs()

    package init(limits: RequestDecoder.Limits) {
        self.limits = limits
    }

    package mutating func request(_ fields: HTTP2Fields) throws(HTTP2Request.Flaw) -> HTTP2Request {
        try HTTP2Request(fields, limits, &ids)
    }

    /// Whether a response must have no content, whatever else the request is (RFC 9110 section 9.3.2).
    package func isHead(_ fields: HTTP2Fields) -> Bool {
        let bytes = fields.bytes.span
        return fields.fields.contains {
            $0.name.count == 7 && bytes.isEqual($0.name, to: ":method") && bytes.isEqual($0.value, to: "HEAD")
        }
    }

    /// What is wrong with fields behind the content.
    package func flaw(inTrailers fields: HTTP2Fields) -> HTTP2Request.Flaw? {
        do {
            try HTTP2RequestHead.checkTrailers(fields)
            return nil
        } catch {
            return .malformed
        }
    }
}
