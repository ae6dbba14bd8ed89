import GatewayCore
import NIOCore

/// The response to one request, as far as it has come (RFC 9113 section 8.1).
struct HTTP2Response {
    enum Problem: Error, Equatable {
        case malformed(String)
    }

    /// What is looked for among the names of the static table (RFC 7541 appendix A).
    static let names = [":status", "content-type", "retry-after"]

    /// Nil until the final status has come; interim ones are passed over.
    private(set) var head: UpstreamResponse?
    private var content = ByteBuffer()
    /// There is more content than is passed on.
    private(set) var isOverlong = false

    /// One block of fields: of an interim response, of the final one, or trailers.
    mutating func receive(_ fields: HTTP2Fields, endsStream: Bool) throws(Problem) {
        // Trailers say nothing that is passed on.
        guard head == nil else { return }
        let bytes = fields.bytes.span
        var status: Int?
        var requestID: Range<Int>?
        var retryAfter: Range<Int>?
        var contentType: Range<Int>?
        for (name, value) in fields.fields {
            switch name.count {
            case 7 where bytes.isEqual(name, to: ":status"):
                guard status == nil, value.count == 3, let number = bytes.decimal(value), (100...599).contains(number)
                else { throw .malformed("`:status` is repeated or not a status code") }
                status = number
            case 11 where bytes.isEqual(name, to: "retry-after"): retryAfter = value
            case 12 where bytes.isEqual(name, to: "content-type"): contentType = value
            case 16 where bytes.isEqual(name, to: "x-amzn-requestid"): requestID = value
            case 17 where bytes.isEqual(name, to: "x-amzn-request-id"): requestID = value
            default: break
            }
        }
        guard let status else { throw .malformed("the response has no `:status`") }
        guard status >= 200 else {
            guard status != 101, !endsStream else {
                throw .malformed("the response ends with the interim status \(status)")
            }
            return
        }
        head = UpstreamResponse(
            status: status, requestID: requestID, retryAfter: retryAfter, contentType: contentType, of: bytes)
    }

    mutating func receive(_ bytes: ByteBuffer) throws(Problem) {
        guard head != nil else { throw .malformed("content comes before the status") }
        if content.readableBytes == 0 {
            content = bytes
        } else {
            content.writeImmutableBuffer(bytes)
        }
        isOverlong = content.readableBytes > UpstreamResponse.contentLimitBytes
    }

    /// Takes it out at its end; nil if its status has not come. How long a field says that the content is does not matter: the frames
    /// say where it ends.
    mutating func take() -> UpstreamResponse? {
        guard let head = head.take() else { return nil }
        if isOverlong { return head.cutShort(after: content) }
        return content.readableBytes == 0 ? head : head.with(content)
    }

    /// As far as it came, for when no more of it will: with its status it is known what became of the message.
    var soFar: UpstreamResponse? { head?.cutShort(after: content) }
}
