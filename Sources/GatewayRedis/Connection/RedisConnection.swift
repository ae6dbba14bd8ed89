import GatewayCore
import NIOCore
import NIOTLS

/// Why a command got no reply.
enum RedisFailure: Error, Equatable {
    /// Not a byte of it has left.
    case notSent
    /// It was written, and the reply did not come in time or the connection was lost.
    case undecided
    /// Done, and too few replicas have confirmed it.
    case notReplicated
    /// Done, in a store that has lost the records of before.
    case forgotten
}

/// One connection to one server: commands in, replies out in the same order. Bound to its event loop.
///
/// What one turn of the event loop asks goes out in one write. A server from which nothing comes for too long is taken to have
/// stalled: the connection ends, and everything on it with it.
final class RedisConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    typealias Completion = (Result<RESPValue, RedisFailure>) -> Void

    enum Event {
        case ready(RedisIdentity)
        /// The key that is looked at behind claims holds something else than it should; nil: nothing.
        case epochChanged(found: String?)
        /// - Parameter leftUndecided: commands may still be done by the server.
        case closed(reason: String, leftUndecided: Bool)
    }

    private enum State {
        /// Can transition to: ready, closed.
        case connecting
        /// Can transition to: closed.
        case ready
        case closed
    }

    private let configuration: RedisConfiguration
    private let keys: RecordKeys
    private let isSecure: Bool
    private let eventLoop: any EventLoop
    private var onEvent: (Event) -> Void
    private var handshake: RedisHandshake
    private var state = State.connecting
    private var context: ChannelHandlerContext?
    private var incoming = ByteBuffer()
    /// Written by commands of this turn of the loop.
    private var outgoing = ByteBuffer()
    /// What the commands of this turn need at their end.
    private var unsentHoldsClaim = false
    private var unsentHoldsWrite = false
    private var pipeline: RedisPipeline
    private var flushIsScheduled = false
    private var timer: Scheduled<Void>?
    /// How many replies have come.
    private var received: UInt64 = 0
    /// As of this turn.
    private var now = NIODeadline.distantPast

    /// Replicas that have to confirm a write before it counts.
    var waitReplicas = 0
    /// What is looked at behind claims; nil: nothing.
    var epoch: EpochCheck?

    private static let grace = TimeAmount.milliseconds(5)

    init(
        _ configuration: RedisConfiguration, handshake: RedisHandshake, isSecure: Bool, eventLoop: any EventLoop,
        onEvent: @escaping (Event) -> Void
    ) {
        self.configuration = configuration
        keys = RecordKeys(prefix: configuration.keyPrefix)
        pipeline = RedisPipeline(timeout: configuration.commandTimeout)
        self.handshake = handshake
        self.isSecure = isSecure
        self.eventLoop = eventLoop
        self.onEvent = onEvent
    }

    var isOpen: Bool { if case .closed = state { false } else { true } }

    // MARK: Commands

    func send(_ request: RedisRequest, _ completion: @escaping Completion) {
        guard case .ready = state, pipeline.count < RedisPipeline.limit else { return completion(.failure(.notSent)) }
        // The time is asked for once a turn.
        if !flushIsScheduled { now = eventLoop.now }
        if request.isAsking {
            outgoing.writeRESPCommand(["ASKING"])
            pipeline.append(.asking, now: now)
        }
        request.command.write(to: &outgoing, keys: keys, withSource: request.withSource)
        let isWrite = request.command.isWrite && waitReplicas > 0
        let isClaim = request.command.isClaim && epoch != nil
        if isWrite { unsentHoldsWrite = true }
        if isClaim { unsentHoldsClaim = true }
        pipeline.append(isWrite || isClaim ? .confirmed(isClaim: isClaim) : .single, completion, now: now)
        if timer == nil { setTimer(pipeline.nextDeadline) }
        scheduleFlush()
    }

    private func scheduleFlush() {
        // While replicas are waited for, the server reads nothing more from this connection: what is asked meanwhile goes out
        // together, and waits for them once.
        guard !flushIsScheduled, !pipeline.isWaiting else { return }
        flushIsScheduled = true
        eventLoop.assumeIsolated().execute {
            self.flushIsScheduled = false
            self.flush()
        }
    }

    private func flush() {
        guard let context, pipeline.hasUnsent else { return }
        now = eventLoop.now
        if unsentHoldsClaim, let epoch {
            outgoing.writeImmutableBuffer(epoch.question)
            pipeline.append(.epoch(isLast: !unsentHoldsWrite), now: now)
        }
        if unsentHoldsWrite {
            // One for all before it. It gives up in time for its own reply to be in time.
            let patience = max(1, configuration.commandTimeout.inMilliseconds * 4 / 5)
            outgoing.writeRESPCommand(["WAIT", String(waitReplicas), String(patience)])
            pipeline.append(.wait(replicas: waitReplicas), now: now)
        }
        (unsentHoldsClaim, unsentHoldsWrite) = (false, false)
        pipeline.sent()
        context.writeAndFlush(wrapOutboundOut(outgoing), promise: nil)
        outgoing = context.channel.allocator.buffer(capacity: 1024)
    }

    // MARK: Time

    private func setTimer(_ deadline: NIODeadline?) {
        guard timer == nil, let deadline else { return }
        timer = eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
            self.timer = nil
            self.checkDeadline()
        }
    }

    private func checkDeadline() {
        guard let deadline = pipeline.nextDeadline else { return }
        guard deadline <= eventLoop.now else { return setTimer(deadline) }
        // An event loop that was held up, by a burst or since the process stood still, sees its timers before the
        // replies that lie in the socket. Only what is still missing once they have been read has not come.
        let received = received
        let limit = deadline + configuration.commandTimeout
        timer = eventLoop.assumeIsolated().scheduleTask(in: Self.grace) {
            self.timer = nil
            guard self.received == received || limit <= self.eventLoop.now else { return self.checkDeadline() }
            self.expire()
        }
    }

    private func expire() {
        let (outcomes, isStalled) = pipeline.expire(now: eventLoop.now)
        for outcome in outcomes { outcome.tell() }
        if isStalled { close("no reply came in time") } else { setTimer(pipeline.nextDeadline) }
    }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
        if case .closed = state { return context.close(promise: nil) }  // given up while TCP was connecting
        self.context = context
        if context.channel.isActive && !isSecure { startHandshake() }
    }

    func channelActive(context: ChannelHandlerContext) {
        if !isSecure { startHandshake() }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted = event as? TLSUserEvent { startHandshake() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        now = eventLoop.now
        if incoming.readableBytes == 0 { incoming = bytes } else { incoming.writeBuffer(&bytes) }
        do {
            while let reply = try RESPParser.next(&incoming) {
                if case .push = reply { continue }
                received(reply)
            }
        } catch {
            close("not the Redis protocol: \(error.detail)")
        }
        if incoming.readableBytes == 0 { incoming = ByteBuffer() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        close("the server closed the connection")
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        close(words(for: error))
    }

    // MARK: Replies

    private func startHandshake() {
        guard case .connecting = state, pipeline.count == 0 else { return }
        sendHandshake(handshake.start())
    }

    private func sendHandshake(_ words: [String]) {
        guard let context else { return }
        var buffer = ByteBuffer()
        buffer.writeRESPCommand(words)
        pipeline.append(.handshake, now: eventLoop.now)
        pipeline.sent()
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    private func received(_ reply: RESPValue) {
        received &+= 1
        switch pipeline.received(reply, now: now, isForgotten: { epoch?.isForgotten($0) ?? false }) {
        case .nothing: break
        case .outcome(let outcome): outcome.tell()
        case .outcomes(let outcomes): for outcome in outcomes { outcome.tell() }
        case .handshake(let reply): shookHands(reply)
        case .epoch(let reply, let outcomes):
            for outcome in outcomes { outcome.tell() }
            if let epoch, epoch.isChanged(reply) { onEvent(.epochChanged(found: reply.text)) }
        case .unexpected: close("unexpected reply")
        }
        if pipeline.hasUnsent { scheduleFlush() }
    }

    private func shookHands(_ reply: RESPValue) {
        switch handshake.received(reply) {
        case .send(let words): sendHandshake(words)
        case .failed(let reason): close(reason)
        case .ready(let identity):
            state = .ready
            onEvent(.ready(identity))
        }
    }

    // MARK: End

    func connectFailed(_ reason: String) { close(reason) }

    func connectTimedOut() {
        if case .connecting = state { close("connecting timed out") }
    }

    func close(_ reason: String) {
        if case .closed = state { return }
        state = .closed
        timer?.cancel()
        timer = nil
        let (outcomes, leftUndecided) = pipeline.end()
        context?.close(promise: nil)
        context = nil
        for outcome in outcomes { outcome.tell() }
        let tell = onEvent
        onEvent = { _ in }
        tell(.closed(reason: reason, leftUndecided: leftUndecided))
    }
}
