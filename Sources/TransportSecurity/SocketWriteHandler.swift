package import NIOCore

/// Writes what the pipeline writes by a `SocketWriter`.
///
/// The handler next to the socket: what it gets is what is sent.
package final class SocketWriteHandler: ChannelOutboundHandler {
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private var writer: SocketWriter?
    /// Written and not flushed.
    private var waiting: ByteBuffer?

    package init() {}

    package func handlerAdded(context: ChannelHandlerContext) { writer = SocketWriter(context.channel) }

    package func handlerRemoved(context: ChannelHandlerContext) {
        writer = nil
        waiting = nil
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard let writer else { return context.write(data, promise: promise) }
        if writer.isFirst && waiting == nil && promise == nil {
            waiting = unwrapOutboundIn(data)
        } else {
            if let earlier = waiting.take() { writer.passOn(earlier, nil, in: context) }
            writer.passOn(unwrapOutboundIn(data), promise, in: context)
        }
    }

    package func flush(context: ChannelHandlerContext) {
        guard let buffer = waiting.take(), let writer else { return context.flush() }
        writer.writeAndFlush(buffer, in: context)
    }
}
