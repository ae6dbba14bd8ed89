import GatewayCore
import NIOCore

/// Requests a tunnel from a proxy (CONNECT) and then removes itself.
final class TunnelHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// The proxy did not open a tunnel.
    struct TunnelError: Error, CustomStringConvertible {
        var description: String
    }

    private static let headLimitBytes = 8 * 1024

    /// Nil once it is sent.
    private var request: ByteBuffer?
    private let opened: EventLoopPromise<Void>
    private var head = ByteBuffer()

    init(_ proxy: ForwardProxy, to endpoint: APIEndpoint, opened: EventLoopPromise<Void>) {
        request = ByteBuffer(string: proxy.connectRequest(to: endpoint))
        self.opened = opened
    }

    /// Opens a tunnel on a connection to the proxy; the connection is closed if that fails.
    static func open(
        _ proxy: ForwardProxy, to endpoint: APIEndpoint, on channel: any Channel, within timeout: TimeAmount
    ) -> EventLoopFuture<Void> {
        let opened = channel.eventLoop.makePromise(of: Void.self)
        do {
            try channel.pipeline.syncOperations.addHandler(TunnelHandler(proxy, to: endpoint, opened: opened))
        } catch {
            opened.fail(error)
        }
        let timer = channel.eventLoop.scheduleTask(in: timeout) { opened.fail(ChannelError.connectTimeout(timeout)) }
        opened.futureResult.whenComplete { result in
            timer.cancel()
            if case .failure = result { channel.close(promise: nil) }
        }
        return opened.futureResult
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { ask(context) }
    }

    func channelActive(context: ChannelHandlerContext) { ask(context) }

    private func ask(_ context: ChannelHandlerContext) {
        guard let request else { return }
        self.request = nil
        context.writeAndFlush(wrapOutboundOut(request), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        opened.fail(ChannelError.eof)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { opened.fail(error) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        head.writeImmutableBuffer(unwrapInboundIn(data))
        guard let end = Self.endOfHead(head) else {
            if head.readableBytes > Self.headLimitBytes { refuse("the proxy's response head is too large") }
            return
        }
        // RFC 9110 section 9.3.6: any 2xx makes the tunnel, and has no content.
        let line = head.getString(at: head.readerIndex, length: min(end, 64)) ?? ""
        guard line.hasPrefix("HTTP/1.1 2") || line.hasPrefix("HTTP/1.0 2") else {
            return refuse("the proxy answered \(line.dropFirst(9).prefix { $0.isNumber })")
        }
        head.moveReaderIndex(forwardBy: end)
        let first = head
        opened.succeed()
        // Usually empty: in TLS the client speaks first.
        if first.readableBytes > 0 { context.fireChannelRead(NIOAny(first)) }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    private func refuse(_ reason: String) { opened.fail(TunnelError(description: reason)) }

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
