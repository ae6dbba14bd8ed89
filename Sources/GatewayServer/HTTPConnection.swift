import GatewayCore
import NIOCore
import NIOSSL
import NIOTLS

/// One connection from a caller: bytes to requests, answers to bytes, one request at a time and in order.
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
        case answering(keepsAlive: Bool)
        /// The last answer is being written, or the connection is closed.
        case closing
    }

    /// Behind a request that is being answered, at most this much is read ahead.
    private static let readAheadLimitBytes = 64 * 1024

    private let loop: ListenerLoop
    private var assembler: RequestAssembler
    private var state: State
    private var peer = Peer()
    private var phase = RequestAssembler.Phase.idle
    /// When the phase has lasted too long. Read by the sweep of the loop.
    private(set) var deadline: NIODeadline
    /// The last answer; its memory serves for the next.
    private var answerBuffer = ByteBuffer()
    /// It is written at the end of the turn.
    private var answerIsPending = false
    private var context: ChannelHandlerContext?
    private var hasPendingRead = false
    private var inputIsClosed = false
    /// Set while answers are asked for, so that an answer that is there at once does not recurse.
    private var isAdvancing = false

    init(loop: ListenerLoop, isSecure: Bool) {
        self.loop = loop
        state = isSecure ? .handshaking : .reading
        assembler = RequestAssembler(limits: loop.limits)
        deadline = .distantFuture
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        peer = Peer(address: context.remoteAddress)
        // A handshake has as long as a head.
        enter(state == .handshaking ? .head : .idle, now: context.eventLoop.now)
        loop.opened(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        state = .closing
        self.context = nil
        loop.closed(self)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard state != .closing else { return }
        assembler.receive(unwrapInboundIn(data))
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
            // A caller may close its side and still wait for the answer; without a request there is none to wait for.
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
            peer = Peer(address: peer.address, certificateNames: certificate.callerNames)
        }
        state = .reading
        enter(.idle, now: context.eventLoop.now)
    }

    /// The time limit of the current phase is over.
    func deadlinePassed() {
        if state == .handshaking { return close() }
        guard state == .reading else { return }
        switch phase {
        case .idle: close()
        case .head, .content:
            let what = phase == .head ? "head" : "content"
            refuse(Refusal(.requestTimeout, "the \(what) of the request did not arrive in time"))
        }
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
        while state == .reading {
            switch assembler.next() {
            case .needsMoreBytes(let phase):
                if inputIsClosed { return close() }
                if phase != self.phase { enter(phase, now: loop.eventLoop.now) }
                return
            case .continueExpected:
                write(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n"))
            case .request(let request):
                state = .answering(keepsAlive: request.head.keepsAlive)
                deadline = .distantFuture
                loop.forwarder.forward(request, from: peer, to: self)
            case .refused(let problem, let detail):
                return refuse(Refusal(problem, detail))
            }
        }
    }

    private func enter(_ phase: RequestAssembler.Phase, now: NIODeadline) {
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
        loop.forwarder.refused(refusal.problem)
        state = .closing
        flush()
        loop.encoder.encode(Answer(.refusal(refusal), region: nil), keepsAlive: false, into: &answerBuffer)
        write(answerBuffer)
        closeGracefully()
    }

    private func write(_ buffer: ByteBuffer) {
        flush()
        context?.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    /// What `answered` has encoded goes out.
    func flush() {
        guard answerIsPending else { return }
        answerIsPending = false
        context?.writeAndFlush(wrapOutboundOut(answerBuffer), promise: nil)
    }

    /// Closes our side and gives the caller time to read: closing at once, with bytes unread, would reset the
    /// connection and could destroy the answer on its way (RFC 9112 section 9.6).
    private func closeGracefully() {
        guard let context else { return }
        deadline = .distantFuture
        context.close(mode: .output, promise: nil)
        loop.lingers(context.channel)
        if hasPendingRead { resumeReading() }
    }

    func close() {
        flush()
        state = .closing
        context?.close(promise: nil)
    }

    private func resumeReading() {
        hasPendingRead = false
        context?.read()
    }
}

extension HTTPConnection: AnswerRecipient {
    func answered(_ answer: Answer) {
        guard case .answering(let callerKeepsAlive) = state else { return }
        let keepsAlive = callerKeepsAlive && !loop.isDraining && !inputIsClosed
        // A caller that sends ahead has more than one answer in a turn.
        flush()
        loop.encoder.encode(answer, keepsAlive: keepsAlive, into: &answerBuffer)
        guard keepsAlive else {
            write(answerBuffer)
            state = .closing
            return closeGracefully()
        }
        answerIsPending = true
        loop.flushes.append(self)
        state = .reading
        phase = .idle
        deadline = loop.idleDeadline
        if assembler.bufferedBytes > 0 { advance() }
        if hasPendingRead { resumeReading() }
    }
}

extension HTTPConnection: ChannelOutboundHandler {
    typealias OutboundIn = Never

    /// Holds reading back while a caller sends ahead of its answers.
    func read(context: ChannelHandlerContext) {
        if case .answering = state, assembler.bufferedBytes >= Self.readAheadLimitBytes {
            hasPendingRead = true
        } else {
            context.read()
        }
    }
}
