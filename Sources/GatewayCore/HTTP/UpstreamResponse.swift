package import NIOCore

/// What an upstream answered to one message: only what the gateway passes on.
package struct UpstreamResponse: Equatable, Sendable {
    package var status: Int
    package var requestID: RequestID?
    /// Kept apart, so that an answer is copied by copying one reference: it passes through many hands.
    private var rest: Rest?

    private final class Rest: Equatable, Sendable {
        /// Of answers that have no more than a usual content type, as those to accepted messages: one object for all.
        static let json = Rest(nil, "application/json", ByteBuffer())
        static let octets = Rest(nil, "application/octet-stream", ByteBuffer())
        static let text = Rest(nil, "text/plain", ByteBuffer())

        let retryAfter: String?
        let contentType: String?
        let content: ByteBuffer

        init(_ retryAfter: String?, _ contentType: String?, _ content: ByteBuffer) {
            self.retryAfter = retryAfter
            self.contentType = contentType
            self.content = content
        }

        static func == (one: Rest, other: Rest) -> Bool {
            one.retryAfter == other.retryAfter && one.contentType == other.contentType
                && one.content == other.content
        }
    }

    package init(
        status: Int, requestID: RequestID? = nil, retryAfter: String? = nil, contentType: String? = nil,
        content: ByteBuffer = ByteBuffer()
    ) {
        self.status = status
        self.requestID = requestID
        if retryAfter != nil || contentType != nil || content.readableBytes > 0 {
            rest = Rest(retryAfter, contentType, content)
        }
    }

    package var retryAfter: String? { rest?.retryAfter }
    package var contentType: String? { rest?.contentType }
    package var content: ByteBuffer { rest?.content ?? ByteBuffer() }

    /// The same with this content.
    package func with(_ content: ByteBuffer) -> Self {
        Self(
            status: status, requestID: requestID, retryAfter: retryAfter, contentType: contentType, content: content)
    }
}

extension UpstreamResponse {
    package static let contentLimitBytes = 64 * 1024

    /// - Parameters:
    ///   - bytes: of which the values of fields are ranges.
    ///   - requestID, retryAfter, contentType: where there are such fields.
    package init(
        status: Int, requestID: Range<Int>?, retryAfter: Range<Int>?, contentType: Range<Int>?, of bytes: Span<UInt8>
    ) {
        let id = requestID.flatMap { RequestID(bytes, $0) }
        if retryAfter == nil, let usual = contentType.flatMap({ Self.usual($0, of: bytes) }) {
            self.init(status: status, requestID: id)
            rest = usual
        } else {
            self.init(
                status: status, requestID: id, retryAfter: retryAfter.flatMap { Self.passable($0, of: bytes) },
                contentType: contentType.flatMap { Self.passable($0, of: bytes) })
        }
    }

    /// The answer of which no more will come than this content. Of an error, part of the text is better than nothing. Part of anything
    /// else would be taken for the whole.
    package func cutShort(after content: ByteBuffer) -> UpstreamResponse {
        guard status >= 400 else { return self }
        return with(
            content.getSlice(
                at: content.readerIndex, length: min(content.readableBytes, Self.contentLimitBytes)) ?? content)
    }

    private static func usual(_ contentType: Range<Int>, of bytes: Span<UInt8>) -> Rest? {
        switch contentType.count {
        case 10 where bytes.isEqual(contentType, to: "text/plain"): .text
        case 16 where bytes.isEqual(contentType, to: "application/json"): .json
        case 24 where bytes.isEqual(contentType, to: "application/octet-stream"): .octets
        default: nil
        }
    }

    /// A field value that may go to the caller: printable ASCII, of a length that such a value can have.
    private static func passable(_ value: Range<Int>, of bytes: Span<UInt8>) -> String? {
        guard (1...128).contains(value.count) else { return nil }
        for index in value where !(0x20...0x7E).contains(bytes[index]) { return nil }
        return bytes.text(value)
    }
}
