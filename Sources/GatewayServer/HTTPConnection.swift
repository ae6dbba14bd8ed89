import GatewayCore
import NIOCore
import NIOSSL
import NIOTLS

/// One connection from a client: bytes to requests, answers to bytes, one request at a time and in order.
///
/// Bound to its event loop, like everything its messages pass.
final class HTTPConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State: Equatable {
        /// Nothing can be read before the TLS handshake is over. Can transition to: reading, closing.
        case handshaking
        /// Can transition to: answering, closing.
        case reading
        /// A request is on its way through the gateway. Can transition to: reading, closing.
        case answering(Exchange)
        /// The last answer is being written, or the connection is closed.
        case closing
    }

    /// What the request that is being answered asks of its answer.
    private struct Exchange: Equatable {
        var keepsAlive: Bool
        var isHead: Bool
    }

    /// Behind a request that is being answered, at most this much is read ahead.
    private static let readAheadLimitBytes = 64 * 1024

    private let loop: ListenerLoop
    private var decoder: RequestDecoder
    private var state: State
    private(set) var peer = Peer()
    private var phase = RequestDecoder.Phase.idle
    /// When the phase has lasted too long.
    private var deadline: NIODeadline
    /// When answers have waited too long to be read; they do while the channel is not writable.
    private var writeDeadline = NIODeadline.distantFuture
    private var isWritable: Bool { writeDeadline == .distantFuture }
    /// What the client's certificate stands for, and until when.
    private var certificate: ClientCertificate?
    /// The last answer; its memory serves for the next.
    private var responseBuffer = ByteBuffer()
    /// It is written at the end of the turn.
    private var responseIsPending = false
    private var context: ChannelHandlerContext?
    private var hasPendingRead = false
    private var inputIsClosed = false
    /// Set while answers are asked for, so that an answer that is there at once does not recurse.
    private var isAdvancing = false

    init(loop: ListenerLoop, isSecure: Bool) {
        self.loop = loop
        state = isSecure ? .handshaking : .reading
        decoder = RequestDecoder(limits: loop.limits, isSecure: isSecure)
        deadline = .distantFuture
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        peer = Peer(address: context.remoteAddress)
        awaitFirstByte(now: context.eventLoop.now)
        if !loop.opened(self) { close() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        state = .closing
        self.context = nil
        loop.closed(self)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard state != .closing else { return }
        decoder.receive(unwrapInboundIn(data))
        if state == .reading { advance() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        state = .closing
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted = event as? TLSUserEvent { handshakeCompleted(context) }
        if let event = event as? ChannelEvent, event == .inputClosed {
            inputIsClosed = true
            // A client may close its side and still wait for the answer; without a request there is none to wait for.
            switch state {
            case .handshaking, .reading, .closing: close()
            case .answering: break
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        state = .closing
        context.close(promise: nil)
    }

    private func handshakeCompleted(_ context: ChannelHandlerContext) {
        guard state == .handshaking else { return }
        let handler = try? context.pipeline.syncOperations.handler(type: NIOSSLServerHandler.self)
        if let certificate = handler?.peerCertificate {
            self.certificate = ClientCertificate(certificate, trustedBy: loop.authorities)
            peer = Peer(address: peer.address, certificateNames: certificate.callerNames)
        }
        state = .reading
        awaitFirstByte(now: context.eventLoop.now)
    }

    // MARK: Time

    /// Whoever connects has something to say: a handshake, and then the first byte, have as long as a head each.
    private func awaitFirstByte(now: NIODeadline) {
        enter(.head, now: now)
        phase = .idle
    }

    /// Called by the sweep of the loop.
    func checkDeadlines(now: NIODeadline) {
        if let certificate, !certificate.isValid(loop) { certificateExpired() }
        if writeDeadline <= now { return close() }
        if deadline <= now { deadlinePassed() }
    }

    /// The time limit of the current phase is over.
    private func deadlinePassed() {
        if state == .handshaking { return close() }
        guard state == .reading else { return }
        switch phase {
        case .idle: close()
        case .head, .content:
            let what = phase == .head ? "head" : "content"
            refuse(Refusal(.requestTimeout, "the \(what) of the request did not arrive in time"))
        }
    }

    /// A connection lives no longer than the certificate that its client has shown; a request that is being answered does.
    private func certificateExpired() {
        if state == .reading && phase == .idle { close() }
    }

    /// No further request is taken: closes now if none is being answered.
    func drain() {
        if state == .handshaking || state == .reading && phase == .idle { close() }
    }

    // MARK: Requests

    private func advance() {
        guard !isAdvancing else { return }
        isAdvancing = true
        defer { isAdvancing = false }
        // Whoever does not read answers gets no more of them.
        while state == .reading && isWritable {
            switch decoder.next() {
            case .needsMoreBytes(let phase):
                if inputIsClosed { return close() }
                if phase != self.phase { enter(phase, now: loop.eventLoop.now) }
                return
            case .continueExpected(let request):
                dropExpiredCertificate()
                // RFC 9110 section 10.1.1: not if the head alone settles the answer.
                if let refusal = loop.handler.refusal(beforeContentOf: request, from: peer) {
                    return answerAndClose(refusal, isHead: request.head.method == .head)
                }
                write(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n"))
            case .request(let request):
                dropExpiredCertificate()
                let isHead = request.head.method == .head
                state = .answering(Exchange(keepsAlive: request.head.keepsAlive, isHead: isHead))
                deadline = .distantFuture
                loop.handler.handle(request, from: peer, to: self)
            case .refused(let error):
                return refuse(Refusal(error))
            }
        }
    }

    /// The sweep may be late: a certificate that is no longer good stands for nobody.
    private func dropExpiredCertificate() {
        guard let certificate, !certificate.isValid(loop), !peer.certificateNames.isEmpty else { return }
        peer = Peer(address: peer.address)
    }

    private func enter(_ phase: RequestDecoder.Phase, now: NIODeadline) {
        self.phase = phase
        deadline =
            switch phase {
            case .idle: now + loop.idleTimeout
            case .head: now + loop.headTimeout
            case .content: now + loop.contentTimeout
            }
    }

    // MARK: Answers

    /// What cannot be read leaves the connection without a place to go on from.
    private func refuse(_ refusal: Refusal) {
        loop.handler.refused(refusal.problem, from: peer)
        answerAndClose(refusal, isHead: false)
    }

    private func answerAndClose(_ refusal: Refusal, isHead: Bool) {
        state = .closing
        flush()
        encode(Response(.refusal(refusal), region: nil), keepsAlive: false, isHead: isHead)
        write(responseBuffer)
        closeGracefully()
    }

    private func encode(_ answer: Response, keepsAlive: Bool, isHead: Bool) {
        let form = ResponseEncoder.Form(keepsAlive: keepsAlive, hasContent: !isHead, dateLine: loop.dateLine)
        loop.encoder.encode(answer, form, into: &responseBuffer)
    }

    private func write(_ buffer: ByteBuffer) {
        flush()
        context?.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    /// What `answered` has encoded goes out.
    func flush() {
        guard responseIsPending else { return }
        responseIsPending = false
        context?.writeAndFlush(wrapOutboundOut(responseBuffer), promise: nil)
    }

    /// Closes our side and gives the client time to read: closing at once, with bytes unread, would reset the
    /// connection and could destroy the answer on its way (RFC 9112 section 9.6).
    private func closeGracefully() {
        guard let context else { return }
        deadline = .distantFuture
        context.close(mode: .output, promise: nil)
        loop.lingers(context.channel)
        if hasPendingRead { read(context: context) }
    }

    func close() {
        flush()
        state = .closing
        context?.close(promise: nil)
    }
}

extension HTTPConnection: ResponseRecipient {
    func answered(_ answer: Response) {
        guard case .answering(let exchange) = state else { return }
        let isTrusted = certificate?.isValid(loop) ?? true
        let keepsAlive = exchange.keepsAlive && !loop.isDraining && !inputIsClosed && isTrusted
        // A client that sends ahead has more than one answer in a turn.
        flush()
        encode(answer, keepsAlive: keepsAlive, isHead: exchange.isHead)
        guard keepsAlive else {
            write(responseBuffer)
            state = .closing
            return closeGracefully()
        }
        responseIsPending = true
        loop.flushes.append(self)
        state = .reading
        phase = .idle
        deadline = loop.idleDeadline
        if decoder.bufferedBytes > 0 { advance() }
        if hasPendingRead, let context { read(context: context) }
    }
}

extension HTTPConnection: ChannelOutboundHandler {
    typealias OutboundIn = Never

    /// Holds reading back while a client sends ahead of its answers, or does not read them.
    func read(context: ChannelHandlerContext) {
        if isReadingHeldBack {
            hasPendingRead = true
        } else {
            hasPendingRead = false
            context.read()
        }
    }

    private var isReadingHeldBack: Bool {
        switch state {
        case .answering: !isWritable || decoder.bufferedBytes >= Self.readAheadLimitBytes
        case .reading: !isWritable
        case .handshaking, .closing: false
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            writeDeadline = .distantFuture
            if state == .reading {
                // The client was not the one who was waited for.
                if deadline != .distantFuture { enter(phase, now: loop.eventLoop.now) }
                advance()
            }
            if hasPendingRead { read(context: context) }
        } else if isWritable {
            writeDeadline = loop.eventLoop.now + loop.writeTimeout
        }
        context.fireChannelWritabilityChanged()
    }
}
