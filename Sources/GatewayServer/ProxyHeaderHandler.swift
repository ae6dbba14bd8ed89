import GatewayCore
import NIOCore

/// Stands in front of everything else on a connection behind the PROXY protocol, until its header has come, and then leaves.
///
/// Connections from others than the trusted proxies are closed, and so are those that begin with something else: whoever could choose
/// the address that the gateway sees could choose whose limits it uses up.
final class ProxyHeaderHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// Sent up the pipeline when the header has come and names an address.
    struct Client: Sendable {
        let address: SocketAddress
    }

    private let trusted: TrustedProxies
    private let onRefused: (ProxyRefusal, SocketAddress?) -> Void
    private var header = ProxyHeader()
    private var hasRefused = false

    init(trusted: TrustedProxies, onRefused: @escaping (ProxyRefusal, SocketAddress?) -> Void) {
        self.trusted = trusted
        self.onRefused = onRefused
    }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        if !trusted.contains(context.remoteAddress) { refuse(.untrusted, context) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasRefused else { return }
        switch header.receive(unwrapInboundIn(data)) {
        case .undecided: break
        case .malformed: refuse(.malformed, context)
        case .complete(let client, let rest):
            if let client { context.fireUserInboundEventTriggered(Client(address: client)) }
            if rest.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(rest)) }
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        }
    }

    private func refuse(_ refusal: ProxyRefusal, _ context: ChannelHandlerContext) {
        hasRefused = true
        onRefused(refusal, context.remoteAddress)
        context.close(promise: nil)
    }
}
