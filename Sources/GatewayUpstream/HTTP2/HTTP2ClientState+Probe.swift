import GatewayCore
import NIOCore

extension HTTP2ClientState {
    /// All that is written for one `GET /`, on a connection that is used for nothing else.
    static func probe(_ endpoint: APIEndpoint, userAgent: String) -> ByteBuffer {
        let writer = HTTP2RequestWriter(endpoint: endpoint, userAgent: userAgent)
        var output = HTTP2ClientState(writer: writer, streamsAtOnce: 1).output
        var block = ByteBuffer()
        writer.writeProbe(to: &block)
        output.writeFrameHead(
            .headers, flags: HTTP2Frame.Flag.endHeaders | HTTP2Frame.Flag.endStream, stream: 1,
            length: block.readableBytes)
        output.writeImmutableBuffer(block)
        return output
    }
}
