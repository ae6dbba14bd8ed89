import NIOCore

/// Writes the requests to one region, each as one buffer.
///
/// Built from typed values alone: no field of a caller is copied, so nothing of a caller can become a field.
public struct UpstreamRequest: Sendable {
    private let beforeUser: ByteBuffer
    private let afterUser: ByteBuffer

    public init(endpoint: APIEndpoint, userAgent: String) {
        beforeUser = ByteBuffer(string: "POST \(endpoint.pathPrefix)/v1/skillmessages/users/")
        afterUser = ByteBuffer(
            string: " HTTP/1.1\r\nHost: \(endpoint.authority)\r\nUser-Agent: \(userAgent)\r\n"
                + "Accept: application/json\r\nContent-Type: application/json\r\n")
    }

    func serialize(user: UserID, token: AccessToken, content: ByteBuffer, allocator: ByteBufferAllocator) -> ByteBuffer
    {
        let length =
            beforeUser.readableBytes + user.canonical.readableBytes + afterUser.readableBytes
            + token.fieldLine.readableBytes + content.readableBytes + 32
        var buffer = allocator.buffer(capacity: length)
        buffer.writeImmutableBuffer(beforeUser)
        buffer.writeImmutableBuffer(user.canonical)
        buffer.writeImmutableBuffer(afterUser)
        buffer.writeImmutableBuffer(token.fieldLine)
        buffer.writeStaticString("Content-Length: ")
        buffer.writeDecimal(content.readableBytes)
        buffer.writeStaticString("\r\n\r\n")
        buffer.writeImmutableBuffer(content)
        return buffer
    }
}
