import GatewayCore
import NIOCore
import TransportSecurity

/// One connection from a client over HTTP/2: performs the actions of `HTTP2ServerState`.
///
/// Bound to its event loop, as is everything that handles its messages.
final class HTTP2Connection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Output above this is written before the end of the turn.
    private static let outputBytes = 64 << 10
    /// Of the memory that one turn's writes took, for the next.
    private static let keptBytes = 4 << 10

    /// How long a connection that is never idle is served while the gateway ends.
    private static let drainTime = TimeAmount.seconds(3)

    private let loop: ListenerLoop
    private var state: HTTP2ServerState
    private(set) var peer: Peer
    var openStreams: Int { state.openStreams }
    /// The client's certificate, if it presented one.
    private let certificate: ClientCertificate?
    /// Nil for TLS: what is written goes through the pipeline.
    private var writer: SocketWriter?
    private var context: ChannelHandlerContext?
    /// The last response, as HTTP/1.1 has it; kept so that the next one reuses its memory.
    private var responseBuffer = ByteBuffer()
    private var isAdvancing = false
    private var willFlush = false
    private var hasPendingRead = false
    private var inputHasEnded = false
    /// When the client must have read what was written; set while the channel is not writable.
    private var writeDeadline = NIODeadline.distantFuture

    init(
        loop: ListenerLoop, limits: HTTP2ServerState.Limits, peer: Peer, certificate: ClientCertificate?,
        writer: SocketWriter? = nil
    ) {
        self.writer = writer
        self.loop = loop
        self.peer = Peer(
            address: peer.address, certificateNames: peer.certificateNames, version: .http2,
            isSecure: peer.isSecure)
        self.certificate = certificate
        state = HTTP2ServerState(limits: limits, loop.timeouts, now: loop.eventLoop.now)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if loop.isDraining { startDraining() }
        flushAtEndOfTick()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        state.close()
        state.output = ByteBuffer()
        self.context = nil
        writer = nil
        loop.closed(self)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        state.receive(unwrapInboundIn(data))
        advance()
    }

    /// Nobody behind it waits for that.
    func channelReadComplete(context: ChannelHandlerContext) {}

    func channelInactive(context: ChannelHandlerContext) {
        state.close()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            inputHasEnded = true
            advance()
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        state.close()
        context.close(promise: nil)
    }

    // MARK: Requests

    private var isWritable: Bool { writeDeadline == .distantFuture }

    /// Takes what was read, as far as the client reads what it gets.
    private func advance() {
        guard !isAdvancing else { return }
        isAdvancing = true
        defer { isAdvancing = false }
        let now = loop.eventLoop.now
        while isWritable, state.next(now: now) {
            performActions()
            if state.output.readableBytes > Self.outputBytes { flush() }
        }
        if isWritable {
            state.readEnded()
            // Not before all that came is taken.
            if inputHasEnded { state.inputClosed() }
        }
        perform()
    }

    private func perform() {
        performActions()
        flushAtEndOfTick()
    }

    private func performActions() {
        while let action = state.actions.popFirst() { perform(action) }
        loop.statistics.resets += state.resets
        state.resets = 0
    }

    private func perform(_ action: HTTP2ServerState.Action) {
        switch action {
        case .request(let request, let stream):
            dropExpiredCertificate()
            loop.handler.handle(request, from: peer, to: HTTP2Exchange(self, stream: stream, id: request.id))
        case .begun(let request, let stream, let expectsContinue):
            dropExpiredCertificate()
            if let refusal = loop.handler.refusal(beforeContentOf: request, from: peer) {
                respond(Response(.refusal(refusal), region: nil), request.id, stream: stream)
            } else if expectsContinue {
                state.continues(stream: stream)
            }
        case .refused(let refusal, let id, let stream):
            loop.handler.refused(refusal.problem, id, from: peer)
            respond(Response(.refusal(refusal), region: nil), id, stream: stream)
        case .close:
            guard state.isFlooded else { return closeGracefully() }
            loop.statistics.floods += 1
            flush()
            context?.close(promise: nil)
        }
    }

    /// The sweep may be late: an expired or no longer trusted certificate must not authenticate.
    private func dropExpiredCertificate() {
        guard let certificate, !certificate.isValid(loop), !peer.certificateNames.isEmpty else { return }
        peer = Peer(address: peer.address, version: .http2, isSecure: peer.isSecure)
    }

    // MARK: Responses

    fileprivate func respond(_ answer: Response, _ id: ExchangeID, stream: UInt32) {
        loop.encode(
            answer, keepsAlive: true, hasContent: !state.isHead(stream: stream), id, into: &responseBuffer)
        state.respond(responseBuffer, stream: stream, now: loop.eventLoop.now)
        performActions()
        flushAtEndOfTick()
    }

    /// What is written in one turn of the event loop is one write, and one record of TLS.
    private func flushAtEndOfTick() {
        guard !willFlush, state.output.readableBytes > 0, context != nil else { return }
        willFlush = true
        loop.eventLoop.assumeIsolated().execute {
            self.willFlush = false
            self.flush()
        }
    }

    private func flush() {
        guard state.output.readableBytes > 0, let context else { return }
        let output = state.output.takeAll()
        if let writer {
            writer.writeAndFlush(output, in: context)
        } else {
            context.writeAndFlush(wrapOutboundOut(output), promise: nil)
        }
        state.output.reuse(output, limitBytes: Self.keptBytes)
    }

    private func closeGracefully() {
        guard let context else { return }
        flush()
        loop.closeGracefully(context, inputIsClosed: inputHasEnded)
        if hasPendingRead { read(context: context) }
    }
}

extension HTTP2Connection: ClientConnection {
    func checkDeadlines(now: NIODeadline) {
        if writeDeadline <= now { return close() }
        if let certificate, !certificate.isValid(loop) { state.drain(until: now + Self.drainTime, now: now) }
        state.timePassed(now: now, isReading: isWritable)
        perform()
    }

    func startDraining() {
        state.drain(until: .distantFuture, now: loop.eventLoop.now)
        perform()
    }

    func drain() {
        let now = loop.eventLoop.now
        state.drain(until: now + Self.drainTime, now: now)
        perform()
    }

    func close() {
        flush()
        state.close()
        context?.close(promise: nil)
    }
}

extension HTTP2Connection: ChannelOutboundHandler {
    typealias OutboundIn = Never

    /// Backpressure: stops reading while a client does not read its responses.
    func read(context: ChannelHandlerContext) {
        hasPendingRead = !isWritable
        if !hasPendingRead { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            writeDeadline = .distantFuture
            state.readingResumes(now: loop.eventLoop.now)
            advance()
            if hasPendingRead { read(context: context) }
        } else if isWritable {
            writeDeadline = loop.eventLoop.now + loop.timeouts.write
        }
        context.fireChannelWritabilityChanged()
    }
}

/// One request and its response.
private final class HTTP2Exchange: ResponseRecipient {
    private let connection: HTTP2Connection
    private let stream: UInt32
    private let id: ExchangeID

    init(_ connection: HTTP2Connection, stream: UInt32, id: ExchangeID) {
        self.connection = connection
        self.stream = stream
        self.id = id
    }

    func answered(_ answer: Response) { connection.respond(answer, id, stream: stream) }
}
