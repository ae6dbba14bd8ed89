import Glibc
package import NIOCore

/// Writes to a socket what it takes at once, which nearly always is all of it; the rest, and whatever comes while NIO still has
/// some of it, goes on to NIO, which waits for the socket.
///
/// NIO keeps a list of what is to be written, with promises and marks, and walks through it to write a single buffer. That costs
/// a message more than parsing its head does.
///
/// All that is written to a channel has to go through one writer from the first byte on: it knows by its own count whether NIO has
/// anything left.
package final class SocketWriter {
    private let channel: any Channel
    /// Open, and this channel's, for as long as the channel is active: NIO closes it in one step with that. Nil where there is no
    /// socket, as in tests; then NIO writes everything.
    private let socket: NIOBSDSocket.Handle?
    /// How many writes NIO has not finished: others have to queue behind them.
    private var passedOn = 0

    /// NIO has nothing left that comes first.
    var isFirst: Bool { passedOn == 0 }

    package init(_ channel: any Channel) {
        self.channel = channel
        socket = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable { $0 }
    }

    /// - Parameter context: of a handler behind which, towards the socket, no other has anything to do with what is written.
    package func writeAndFlush(_ buffer: ByteBuffer, in context: ChannelHandlerContext) {
        var sent = 0
        if passedOn == 0, let socket, channel.isActive {
            // A peer that is gone must not end the process, whatever NIO has done about the signal.
            sent = buffer.withUnsafeReadableBytes { send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if sent == buffer.readableBytes { return }
        }
        // The socket is full, or fails. NIO finds the same, and waits, or ends the connection.
        var rest = buffer
        rest.moveReaderIndex(forwardBy: max(sent, 0))
        passOn(rest, nil, in: context)
        context.flush()
    }

    func passOn(_ buffer: ByteBuffer, _ promise: EventLoopPromise<Void>?, in context: ChannelHandlerContext) {
        passedOn += 1
        let promise = promise ?? context.eventLoop.makePromise()
        promise.futureResult.assumeIsolated().whenComplete { _ in self.passedOn -= 1 }
        context.write(NIOAny(buffer), promise: promise)
    }
}
