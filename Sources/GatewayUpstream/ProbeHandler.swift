import GatewayCore
import NIOCore
import NIOTLS

/// Probes whether a region responds, on a separate connection: `GET /`, to which any response counts as success. Unlike a
/// message, a probe can be lost without harm.
final class ProbeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Nil once it is sent.
    private var request: ByteBuffer?
    private let isSecure: Bool
    /// Called once with whether a response came.
    private var ended: ((_ isAnswered: Bool) -> Void)?
    private var decoder = ResponseDecoder()
    private var context: ChannelHandlerContext?

    init(_ endpoint: APIEndpoint, userAgent: String, ended: @escaping (_ isAnswered: Bool) -> Void) {
        request = ByteBuffer(
            string:
                "GET \(endpoint.pathPrefix)/ HTTP/1.1\r\nHost: \(endpoint.authority)\r\nUser-Agent: \(userAgent)\r\n"
                + "Accept: */*\r\nConnection: close\r\n\r\n")
        isSecure = endpoint.isSecure
        self.ended = ended
    }

    func handlerAdded(context: ChannelHandlerContext) {
        guard ended != nil else { return context.close(promise: nil) }
        self.context = context
        if context.channel.isActive && !isSecure { ask(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        if !isSecure { ask(context) }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted = event as? TLSUserEvent { ask(context) }
        context.fireUserInboundEventTriggered(event)
    }

    private func ask(_ context: ChannelHandlerContext) {
        guard let request else { return }
        self.request = nil
        context.writeAndFlush(wrapOutboundOut(request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        do {
            if case .answer = try decoder.receive(unwrapInboundIn(data)) { return end(isAnswered: true) }
            // The head suffices; the content does not matter.
            if decoder.answerSoFar() != nil { end(isAnswered: true) }
        } catch {
            end(isAnswered: false)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(isAnswered: false)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(isAnswered: false)
    }

    /// Ends the probe, once. Also called from outside when connecting fails or the probe times out.
    func end(isAnswered: Bool) {
        guard let ended else { return }
        self.ended = nil
        context?.close(promise: nil)
        context = nil
        ended(isAnswered)
    }
}
