import GatewayCore
import NIOCore

/// Requests a tunnel from a proxy (CONNECT) and then removes itself. Later handlers see the channel become active only when
/// the tunnel is open.
final class TunnelHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// The proxy did not open a tunnel.
    struct TunnelError: Error, CustomStringConvertible {
        var description: String
    }

    private static let headLimitBytes = 8 * 1024

    private let request: String
    private var head = ByteBuffer()

    init(_ proxy: ForwardProxy, to endpoint: APIEndpoint) {
        request = proxy.connectRequest(to: endpoint)
    }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: request)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        head.writeImmutableBuffer(unwrapInboundIn(data))
        guard let end = Self.endOfHead(head) else {
            if head.readableBytes > Self.headLimitBytes { refuse(context, "the proxy's response head is too large") }
            return
        }
        // RFC 9110 section 9.3.6: any 2xx makes the tunnel, and has no content.
        let line = head.getString(at: head.readerIndex, length: min(end, 64)) ?? ""
        guard line.hasPrefix("HTTP/1.1 2") || line.hasPrefix("HTTP/1.0 2") else {
            return refuse(context, "the proxy answered \(line.dropFirst(9).prefix { $0.isNumber })")
        }
        head.moveReaderIndex(forwardBy: end)
        let first = head
        context.fireChannelActive()
        // Usually empty: in TLS the client speaks first.
        if first.readableBytes > 0 { context.fireChannelRead(NIOAny(first)) }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    private func refuse(_ context: ChannelHandlerContext, _ reason: String) {
        context.fireErrorCaught(TunnelError(description: reason))
    }

    /// The offset after the empty line that ends the head; nil if it has not arrived.
    private static func endOfHead(_ buffer: ByteBuffer) -> Int? {
        let bytes = buffer.readableBytesView
        var newlines = 0
        for (offset, byte) in bytes.enumerated() {
            switch byte {
            case UInt8(ascii: "\n"):
                newlines += 1
                if newlines == 2 { return offset + 1 }
            case UInt8(ascii: "\r"): break
            default: newlines = 0
            }
        }
        return nil
    }
}
