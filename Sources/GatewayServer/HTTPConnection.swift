import GatewayCore
import NIOCore
import NIOSSL
import NIOTLS
import TransportSecurity

/// One connection from a client: parses requests and writes responses, one request at a time and in order.
///
/// Bound to its event loop, as is everything that handles its messages.
final class HTTPConnection: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let loop: ListenerLoop
    private let authorities: Int
    private let isSecure: Bool
    /// Nil for TLS: what is written goes through the pipeline.
    private var writer: SocketWriter?
    /// Until it is known that the client does not speak HTTP/2; nil if it must not, or says so in the handshake.
    private var preface: HTTP2Preface?
    private var decoder: RequestDecoder
    private var state: HTTPConnectionState
    private(set) var peer = Peer()
    /// The client's certificate, if it presented one.
    private var certificate: ClientCertificate?
    /// The last response; kept so that the next one reuses its memory.
    private var responseBuffer = ByteBuffer()
    /// `responseBuffer` is to be written at the end of the tick.
    private var responseIsPending = false
    private var context: ChannelHandlerContext?
    /// Of the request that is being answered.
    private var id: ExchangeID
    /// Set while requests are handled, so that a response that comes at once does not call `advance` recursively.
    private var isAdvancing = false

    /// - Parameter authorities: those that a client's certificate is verified with, as `ListenerTLS` counts them.
    init(loop: ListenerLoop, isSecure: Bool, trusting authorities: Int = 0) {
        self.loop = loop
        self.authorities = authorities
        self.isSecure = isSecure
        state = HTTPConnectionState(isSecure: isSecure, loop.timeouts, now: loop.eventLoop.now)
        if loop.http2 != nil && !isSecure { preface = HTTP2Preface() }
        decoder = RequestDecoder(limits: loop.limits, isSecure: isSecure)
        id = decoder.idOfRefused()
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if !isSecure { writer = SocketWriter(context.channel) }
        peer = Peer(address: context.remoteAddress, isSecure: isSecure)
        if !loop.opened(self) { close() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        state.closed()
        self.context = nil
        writer = nil
        loop.closed(self)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !state.isClosing else { return }
        if preface != nil { return receiveStart(unwrapInboundIn(data), context) }
        decoder.receive(unwrapInboundIn(data))
        if state.isReading { advance() }
    }

    /// Nobody behind it waits for that.
    func channelReadComplete(context: ChannelHandlerContext) {}

    func channelInactive(context: ChannelHandlerContext) {
        state.closed()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ProxyHeaderHandler.Client { clientIdentified(event.address) }
        if case .handshakeCompleted(let name) = event as? TLSUserEvent { handshakeCompleted(context, name) }
        if let event = event as? ChannelEvent, event == .inputClosed, state.inputClosed() { end() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        state.closed()
        context.close(promise: nil)
    }

    /// The proxy at the other end has told whom it speaks for.
    private func clientIdentified(_ address: SocketAddress) {
        guard !state.isClosing else { return }
        peer = Peer(address: address, isSecure: isSecure)
        if !loop.clientIdentified(self) { close() }
    }

    private func handshakeCompleted(_ context: ChannelHandlerContext, _ applicationProtocol: String?) {
        guard state.handshakeCompleted(now: context.eventLoop.now) else { return }
        let handler = try? context.pipeline.syncOperations.handler(type: NIOSSLServerHandler.self)
        if let certificate = handler?.peerCertificate {
            let shown = ClientCertificate(certificate, trustedBy: authorities)
            self.certificate = shown
            guard !shown.isRevoked(loop) else {
                loop.revoked(peer)
                return close()
            }
            peer = Peer(
                address: peer.address, certificateNames: certificate.callerNames, isSecure: isSecure)
        }
        if applicationProtocol == HTTPVersion.http2.rawValue { handOver(context) }
    }

    // MARK: HTTP/2

    private func receiveStart(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        switch preface?.receive(bytes) {
        case .undecided:
            // Part of a head, for all that is known.
            if state.awaits(.head, now: { loop.eventLoop.now }) { close() }
        case .isHTTP2(let start): handOver(context, start)
        case .isOther(let start):
            preface = nil
            decoder.receive(start)
            if state.isReading { advance() }
        case nil: break
        }
    }

    /// The client speaks HTTP/2: another handler takes the connection.
    private func handOver(_ context: ChannelHandlerContext, _ start: ByteBuffer? = nil) {
        guard let limits = loop.http2 else { return close() }
        let connection = HTTP2Connection(
            loop: loop, limits: limits, peer: peer, certificate: certificate, writer: writer)
        let pipeline = context.pipeline.syncOperations
        guard (try? pipeline.addHandler(connection, position: .after(self))) != nil else { return close() }
        state.closed()
        loop.replace(self, with: connection)
        if let start { context.fireChannelRead(wrapInboundOut(start)) }
        pipeline.removeHandler(self, promise: nil)
    }

    // MARK: Time

    func checkDeadlines(now: NIODeadline) {
        if let certificate, !certificate.isValid(loop), state.endsWithCertificate { end() }
        switch state.overdue(now: now) {
        case .close: close()
        case .refuse(let part):
            refuse(Refusal(.requestTimeout, "the \(part) of the request did not arrive in time"))
        case nil: break
        }
    }

    /// The next answer says so.
    func startDraining() {}

    func drain() {
        if state.endsWhenDraining { end() }
    }

    // MARK: Requests

    private func advance() {
        guard !isAdvancing else { return }
        isAdvancing = true
        defer { isAdvancing = false }
        while state.takesRequests {
            switch decoder.next() {
            case .needsMoreBytes(let phase):
                if state.awaits(phase, now: { loop.eventLoop.now }) { end() }
                return
            case .continueExpected(let request):
                dropExpiredCertificate()
                // RFC 9110 section 10.1.1: no 100 if the head alone determines the final response.
                if let refusal = loop.handler.refusal(beforeContentOf: request, from: peer) {
                    id = request.id
                    return answerAndClose(refusal, isHead: request.head.method == .head)
                }
                write(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n"))
            case .request(let request):
                dropExpiredCertificate()
                state.took(request.head)
                id = request.id
                loop.handler.handle(request, from: peer, to: self)
            case .refused(let error):
                return refuse(Refusal(error))
            }
        }
    }

    /// The sweep may be late: an expired or no longer trusted certificate must not authenticate.
    private func dropExpiredCertificate() {
        guard let certificate, !certificate.isValid(loop), !peer.certificateNames.isEmpty else { return }
        peer = Peer(address: peer.address, isSecure: isSecure)
    }

    // MARK: Responses

    /// Refuses and closes: after a malformed request, the start of the next one cannot be found.
    private func refuse(_ refusal: Refusal) {
        id = decoder.idOfRefused()
        loop.handler.refused(refusal.problem, id, from: peer)
        answerAndClose(refusal, isHead: false)
    }

    private func answerAndClose(_ refusal: Refusal, isHead: Bool) {
        state.endsGracefully()
        flush()
        encode(Response(.refusal(refusal), region: nil), keepsAlive: false, isHead: isHead)
        write(responseBuffer)
        closeGracefully()
    }

    private func encode(_ answer: Response, keepsAlive: Bool, isHead: Bool) {
        loop.encode(answer, keepsAlive: keepsAlive, hasContent: !isHead, id, into: &responseBuffer)
    }

    private func write(_ buffer: ByteBuffer) {
        flush()
        writeAndFlush(buffer)
    }

    private func writeAndFlush(_ buffer: ByteBuffer) {
        guard let context else { return }
        if let writer {
            writer.writeAndFlush(buffer, in: context)
        } else {
            context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
        }
    }

    private func closeGracefully() {
        guard let context else { return }
        loop.closeGracefully(context, inputIsClosed: state.inputIsClosed)
        if state.hasPendingRead { read(context: context) }
    }

    /// Ends the connection where no answer is awaited; the client may still have to read those that it got.
    private func end() {
        flush()
        guard let context, ListenerLoop.hasUnwritten(context.channel) else { return close() }
        state.endsGracefully()
        closeGracefully()
    }

    func close() {
        flush()
        state.closed()
        context?.close(promise: nil)
    }
}

extension HTTPConnection: ClientConnection, ResponseRecipient {
    func answered(_ answer: Response) {
        // With pipelining, there is more than one response per tick. Written before the next request may be taken, since
        // writing can make the channel writable again.
        flush()
        let isTrusted = certificate?.isValid(loop) ?? true
        guard
            let (isHead, keepsAlive) = state.responded(
                mayContinue: isTrusted && !loop.isDraining, idleDeadline: loop.idleDeadline)
        else { return }
        encode(answer, keepsAlive: keepsAlive, isHead: isHead)
        guard keepsAlive else {
            write(responseBuffer)
            return closeGracefully()
        }
        responseIsPending = true
        loop.performAtEndOfTick(self)
        if decoder.bufferedBytes > 0 { advance() }
        if state.hasPendingRead, let context { read(context: context) }
    }
}

extension HTTPConnection: EndOfTickQueue.Work {
    func perform() { flush() }

    /// Writes the response that `answered` has encoded.
    private func flush() {
        guard responseIsPending else { return }
        responseIsPending = false
        writeAndFlush(responseBuffer)
    }
}

extension HTTPConnection: ChannelOutboundHandler {
    typealias OutboundIn = Never

    /// Backpressure: stops reading while a client pipelines too much or does not read its responses.
    func read(context: ChannelHandlerContext) {
        if state.reads(buffered: decoder.bufferedBytes) { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        state.writabilityChanged(isWritable: context.channel.isWritable, now: loop.eventLoop.now)
        if context.channel.isWritable {
            if state.isReading { advance() }
            if state.hasPendingRead { read(context: context) }
        }
        context.fireChannelWritabilityChanged()
    }
}
