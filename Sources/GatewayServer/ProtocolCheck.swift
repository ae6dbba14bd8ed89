import NIOCore

/// Refuses TLS clients that offer protocols and none that is spoken here, as RFC 7301 section 3.2 demands: the TLS library
/// would go on without a protocol, and a client that speaks HTTP/2 alone would send what nobody understands.
///
/// Stands in front of the TLS library for the first message of a connection, and then leaves.
final class ProtocolCheck: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// A fatal alert, `no_application_protocol` (RFC 8446 section 6).
    private static let alert: [UInt8] = [21, 3, 3, 0, 2, 2, 120]

    private let spoken: [String]
    private var hello = ClientHello()
    private var hasRefused = false

    init(spoken: [String]) {
        self.spoken = spoken
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasRefused else { return }
        switch hello.receive(unwrapInboundIn(data)) {
        case .protocols(let offered) where !offered.contains(where: spoken.contains):
            hasRefused = true
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: Self.alert)), promise: nil)
            context.close(promise: nil)
        case .protocols, .none:
            context.fireChannelRead(data)
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        case .unknown:
            // The library answers nothing before it has the whole message.
            context.fireChannelRead(data)
        }
    }
}
