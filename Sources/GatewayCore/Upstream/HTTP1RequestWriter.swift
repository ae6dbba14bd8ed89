package import NIOCore

/// Writes the requests to one region, each as one buffer.
///
/// Built from typed values alone: no field of a caller is copied, so nothing of a caller can become a field.
package struct HTTP1RequestWriter: Sendable {
    private let beforeUser: ByteBuffer
    private let afterUser: ByteBuffer

    package init(endpoint: APIEndpoint, userAgent: String) {
        beforeUser = ByteBuffer(string: "POST \(endpoint.pathPrefix)/v1/skillmessages/users/")
        afterUser = ByteBuffer(
            string: " HTTP/1.1\r\nHost: \(endpoint.authority)\r\nUser-Agent: \(userAgent)\r\n"
                + "Accept: application/json\r\nContent-Type: application/json\r\n")
    }

    /// - Parameter buffer: is emptied first; its memory is used again unless an earlier request is still being written.
    package func write(_ request: UpstreamRequest, into buffer: inout ByteBuffer) {
        let limit =
            beforeUser.readableBytes + request.user.canonical.readableBytes + afterUser.readableBytes
            + request.token.fieldLine.readableBytes + request.content.readableBytes + SpanReference.characters + 60
        buffer.clear(minimumCapacity: limit)
        buffer.writePieces(limit: limit) { pieces in
            pieces.write(beforeUser)
            pieces.write(request.user.canonical)
            pieces.write(afterUser)
            pieces.write(request.token.fieldLine)
            pieces.write("Content-Length: ")
            pieces.write(decimal: request.content.readableBytes)
            if let trace = request.trace {
                pieces.write("\r\ntraceparent: ")
                trace.write(to: &pieces)
            }
            pieces.write("\r\n\r\n")
            pieces.write(request.content)
        }
    }
}
