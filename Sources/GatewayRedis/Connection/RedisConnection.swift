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
}

/// One connection to one server: commands in, replies out in the same order. Bound to its event loop.
///
/// What one turn of the event loop asks goes out in one write. A server that leaves a command without reply for too
/// long is taken to have stalled: the connection ends, and everything on it with it.
final class RedisConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    typealias Completion = (Result<RESPValue, RedisFailure>) -> Void

    enum Event {
        case ready(RedisIdentity)
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

    private enum Command {
        case handshake
        /// Nobody wants its reply: the one to the command behind it says all.
        case asking
        case single(Completion)
        /// Its reply counts once the next `wait` has confirmed it.
        case replicated(Completion)
        /// For the first so many of those that are held.
        case wait(confirms: Int)
    }

    private struct Pending {
        var command: Command
        var deadline: NIODeadline
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
    /// Written by commands of this turn of the loop, and how many they are.
    private var outgoing = ByteBuffer()
    private var unsent: [Command] = []
    private var pending = CircularBuffer<Pending>()
    /// Replies that replicas have not confirmed yet.
    private var held = CircularBuffer<(reply: RESPValue, completion: Completion)>()
    private var isWaiting = false
    private var flushIsScheduled = false
    private var timer: Scheduled<Void>?
    /// How many replies have come.
    private var received: UInt64 = 0

    private static let grace = TimeAmount.milliseconds(5)
    /// Commands without a reply, at most: a server that reads nothing takes no more memory here than these.
    private static let maximumOutstanding = 16_384

    init(
        _ configuration: RedisConfiguration, handshake: RedisHandshake, isSecure: Bool, eventLoop: any EventLoop,
        onEvent: @escaping (Event) -> Void
    ) {
        self.configuration = configuration
        keys = RecordKeys(prefix: configuration.keyPrefix)
        self.handshake = handshake
        self.isSecure = isSecure
        self.eventLoop = eventLoop
        self.onEvent = onEvent
    }

    // MARK: Commands

    func send(_ request: RedisRequest, _ completion: @escaping Completion) {
        guard case .ready = state, pending.count + unsent.count < Self.maximumOutstanding else {
            return completion(.failure(.notSent))
        }
        if request.isAsking {
            outgoing.writeRESPCommand(["ASKING"])
            unsent.append(.asking)
        }
        request.command.write(to: &outgoing, keys: keys, withSource: request.withSource)
        let isReplicated = request.command.isWrite && configuration.waitReplicas > 0
        unsent.append(isReplicated ? .replicated(completion) : .single(completion))
        scheduleFlush()
    }

    private func scheduleFlush() {
        // While replicas are waited for, the server reads nothing more from this connection.
        guard !flushIsScheduled, !isWaiting else { return }
        flushIsScheduled = true
        eventLoop.assumeIsolated().execute {
            self.flushIsScheduled = false
            self.flush()
        }
    }

    private func flush() {
        guard let context, !unsent.isEmpty else { return }
        let deadline = eventLoop.now + configuration.commandTimeout
        var replicated = 0
        for command in unsent {
            if case .replicated = command { replicated += 1 }
            pending.append(Pending(command: command, deadline: deadline))
        }
        unsent.removeAll(keepingCapacity: true)
        if replicated > 0 {
            // One for all before it. It gives up in time for its own reply to be in time.
            let patience = max(1, configuration.commandTimeout.inMilliseconds * 4 / 5)
            outgoing.writeRESPCommand(["WAIT", String(configuration.waitReplicas), String(patience)])
            pending.append(Pending(command: .wait(confirms: replicated), deadline: deadline))
            isWaiting = true
        }
        context.writeAndFlush(wrapOutboundOut(outgoing), promise: nil)
        outgoing = context.channel.allocator.buffer(capacity: 1024)
        setTimer(deadline)
    }

    // MARK: Time

    private func setTimer(_ deadline: NIODeadline) {
        guard timer == nil else { return }
        timer = eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
            self.timer = nil
            self.checkDeadline()
        }
    }

    private func checkDeadline() {
        guard let oldest = pending.first else { return }
        guard oldest.deadline <= eventLoop.now else { return setTimer(oldest.deadline) }
        // An event loop that was held up, by a burst or since the process stood still, sees its timers before the
        // replies that lie in the socket. Only what is still missing once they have been read has not come.
        let received = received
        eventLoop.assumeIsolated().scheduleTask(in: Self.grace) {
            let limit = self.pending.first.map { $0.deadline + self.configuration.commandTimeout } ?? .distantFuture
            if self.received == received || limit <= self.eventLoop.now {
                self.close("no reply came in time")
            } else {
                self.checkDeadline()
            }
        }
    }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
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
        close("\(error)")
    }

    // MARK: Replies

    private func startHandshake() {
        guard case .connecting = state, pending.isEmpty else { return }
        sendHandshake(handshake.start())
    }

    private func sendHandshake(_ words: [String]) {
        guard let context else { return }
        var buffer = ByteBuffer()
        buffer.writeRESPCommand(words)
        // The time to connect bounds the handshake as a whole.
        pending.append(Pending(command: .handshake, deadline: .distantFuture))
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    private func received(_ reply: RESPValue) {
        received &+= 1
        guard let first = pending.popFirst() else { return close("a reply came to nothing that was asked") }
        switch first.command {
        case .handshake: shookHands(reply)
        case .asking: break
        case .single(let completion): completion(.success(reply))
        case .replicated(let completion): held.append((reply, completion))
        case .wait(let confirms): confirmed(confirms, by: reply)
        }
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

    private func confirmed(_ count: Int, by reply: RESPValue) {
        isWaiting = false
        var isEnough = false
        if case .integer(let replicas) = reply { isEnough = replicas >= configuration.waitReplicas }
        for _ in 0..<count {
            guard let (reply, completion) = held.popFirst() else { break }
            // A refusal was not written and needs no replica.
            if case .error = reply {
                completion(.success(reply))
            } else {
                completion(isEnough ? .success(reply) : .failure(.notReplicated))
            }
        }
        if !unsent.isEmpty { scheduleFlush() }
    }

    // MARK: End

    func connectFailed(_ reason: String) { close(reason) }

    func connectTimedOut() {
        if case .connecting = state { close("no connection came about in time") }
    }

    func close(_ reason: String) {
        if case .closed = state { return }
        state = .closed
        timer?.cancel()
        timer = nil
        let (sent, heldReplies, waiting) = (pending, held, unsent)
        pending.removeAll()
        held.removeAll()
        unsent.removeAll()
        context?.close(promise: nil)
        context = nil
        var leftUndecided = false
        for (_, completion) in heldReplies { completion(.failure(.notReplicated)) }
        for command in sent {
            switch command.command {
            case .single(let completion), .replicated(let completion):
                leftUndecided = true
                completion(.failure(.undecided))
            case .handshake, .asking, .wait: break
            }
        }
        for command in waiting {
            switch command {
            case .single(let completion), .replicated(let completion): completion(.failure(.notSent))
            case .handshake, .asking, .wait: break
            }
        }
        let tell = onEvent
        onEvent = { _ in }
        tell(.closed(reason: reason, leftUndecided: leftUndecided))
    }
}
