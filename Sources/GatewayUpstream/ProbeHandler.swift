import GatewayCore
import NIOCore
import NIOTLS

/// Probes whether a region responds, on a separate connection: `GET /`, to which any response counts as success. Unlike a
/// message, a probe can be lost without harm.
///
/// Over HTTP/2 the probe is written as the first request of a connection, and the head of its response suffices.
final class ProbeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let endpoint: APIEndpoint
    private let userAgent: String
    private let http2: HTTP2Use
    private var isSent = false
    /// Where HTTP/2 is spoken.
    private var frames: HTTP2FrameReader?
    /// Called once with whether a response came.
    private var ended: ((_ isAnswered: Bool) -> Void)?
    private var decoder = ResponseDecoder()
    private var context: ChannelHandlerContext?

    init(
        _ endpoint: APIEndpoint, userAgent: String, http2: HTTP2Use = HTTP2Use(.off),
        ended: @escaping (_ isAnswered: Bool) -> Void
    ) {
        self.endpoint = endpoint
        self.userAgent = userAgent
        self.http2 = http2
        self.ended = ended
    }

    func handlerAdded(context: ChannelHandlerContext) {
        guard ended != nil else { return context.close(promise: nil) }
        self.context = context
        if context.channel.isActive && !endpoint.isSecure { ask(context, .withoutNegotiation) }
    }

    func channelActive(context: ChannelHandlerContext) {
        if !endpoint.isSecure { ask(context, .withoutNegotiation) }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted(let name) = event as? TLSUserEvent { ask(context, .byNegotiation(name)) }
        context.fireUserInboundEventTriggered(event)
    }

    private func ask(_ context: ChannelHandlerContext, _ choice: HTTP2Use.Choice) {
        guard !isSent else { return }
        isSent = true
        let request: ByteBuffer
        if http2.isChosen(choice) {
            frames = HTTP2FrameReader()
            request = HTTP2ClientState.probe(endpoint, userAgent: userAgent)
        } else {
            request = ByteBuffer(
                string: "GET \(endpoint.pathPrefix)/ HTTP/1.1\r\nHost: \(endpoint.authority)\r\n"
                    + "User-Agent: \(userAgent)\r\nAccept: */*\r\nConnection: close\r\n\r\n")
        }
        context.writeAndFlush(wrapOutboundOut(request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        do {
            if frames != nil {
                frames?.receive(unwrapInboundIn(data))
                while let frame = try frames?.next() { if frame.kind == .headers { return end(isAnswered: true) } }
                return
            }
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
