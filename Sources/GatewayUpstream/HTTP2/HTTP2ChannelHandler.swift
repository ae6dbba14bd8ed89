import GatewayCore
import NIOCore

/// One connection to a region's API over HTTP/2: performs the actions of `HTTP2ClientState`.
final class HTTP2ChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// More than a request has.
    private static let requestLimitBytes = 16 << 10
    /// Of the memory that one turn's writes took, for the next.
    private static let keptBytes = 64 << 10

    let id: PoolStateMachine.ConnectionID
    private let pool: RegionalPool
    private let address: SocketAddress?
    private var state: HTTP2ClientState
    private var context: ChannelHandlerContext?
    private var isEstablished = false
    private var isClosed = false
    private var isPerforming = false
    /// A failure has been counted in this round: of one connection that is lost, or silent, each message fails.
    private var hasCountedFailure = false
    private var willFlush = false

    /// - Parameter address: of the peer, or of the proxy.
    init(id: PoolStateMachine.ConnectionID, pool: RegionalPool, at address: SocketAddress?) {
        self.id = id
        self.pool = pool
        self.address = address
        state = HTTP2ClientState(
            writer: pool.http2RequestWriter(), streamsAtOnce: pool.http2.streamsPerConnection)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        guard !isClosed else { return context.close(promise: nil) }
        self.context = context
        flush()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosed else { return }
        do throws(HTTP2Error) {
            try state.receive(unwrapInboundIn(data), now: context.eventLoop.now)
        } catch {
            state.goAway(error)
            state.end(.malformedAnswer(error.detail))
        }
        performActions()
    }

    /// Nobody behind it waits for that.
    func channelReadComplete(context: ChannelHandlerContext) {}

    func channelInactive(context: ChannelHandlerContext) {
        end(.connectionLost)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(.connectionLost)
    }

    /// The peer's settings have not come in time.
    func timedOut() {
        if !isEstablished { giveUp(.connectTimeout) }
    }

    private func end(_ failure: UpstreamFailure) {
        state.end(failure)
        performActions()
    }

    // MARK: Actions

    private func performActions() {
        guard !isPerforming else { return }
        isPerforming = true
        hasCountedFailure = false
        while let action = state.actions.popFirst() { perform(action) }
        isPerforming = false
        flushAtEndOfTick()
    }

    private func perform(_ action: HTTP2ClientState.Action) {
        switch action {
        case .established(let streams):
            isEstablished = true
            pool.established(self, streams: streams, at: address)
        case .changed(let streams): pool.changed(self, streams: streams)
        case .drains: pool.drains(self, isUnused: !state.hasSent)
        case .responded(let receiver, let answer, let isLate):
            pool.responded(to: receiver, status: answer.status)
            pool.released(self, by: receiver, wasUsed: true)
            if isLate { receiver.upstreamEnded(late: answer) } else { receiver.upstreamResponded(answer) }
        case .failed(let receiver, let failure, let isLate):
            pool.released(self, by: receiver, wasUsed: true)
            if !hasCountedFailure { pool.failed(failure) }
            hasCountedFailure = true
            if isLate { receiver.upstreamEnded(late: nil) } else { receiver.upstreamFailed(failure) }
        case .timedOut(let receiver): receiver.upstreamFailed(.timeout)
        case .stillAwaited(let receiver): receiver.upstreamStillAwaited(now: pool.now)
        case .close: giveUp(.connectionLost)
        }
    }

    /// Closes and tells the pool, once.
    private func giveUp(_ reason: UpstreamUnavailable) {
        guard !isClosed else { return }
        isClosed = true
        flush()
        if isEstablished {
            pool.closed(self, isUnused: !state.hasSent)
        } else {
            pool.connectFailed(id, reason, at: address)
        }
        context?.close(promise: nil)
        context = nil
    }

    // MARK: Writing

    /// What is written in one turn of the event loop is one write, and one record of TLS.
    private func flushAtEndOfTick() {
        guard !willFlush, state.output.readableBytes > 0, context != nil else { return }
        willFlush = true
        pool.performAtEndOfTick(self)
    }

    private func flush() {
        guard state.output.readableBytes > 0, let context else { return }
        // Who asks for answers and does not read them gets no more of them.
        guard context.channel.isWritable || isClosed else {
            let limit = (pool.http2.streamsPerConnection + 4) * Self.requestLimitBytes
            if state.output.readableBytes > limit { end(.connectionLost) }
            return
        }
        let output = state.output.takeAll()
        context.writeAndFlush(wrapOutboundOut(output), promise: nil)
        state.output.reuse(output, limitBytes: Self.keptBytes)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { flush() }
        context.fireChannelWritabilityChanged()
    }
}

extension HTTP2ChannelHandler: EndOfTickQueue.Work {
    func perform() {
        willFlush = false
        flush()
    }
}

extension HTTP2ChannelHandler: PooledConnection {
    func send(_ request: UpstreamRequest, limit: NIODeadline, receiver: any UpstreamReceiver) -> Bool {
        guard let context, context.channel.isActive else {
            end(.connectionLost)
            pool.lost(by: receiver)
            return false
        }
        guard state.send(request, limit: limit, receiver: receiver, now: context.eventLoop.now) else {
            release(by: receiver)
            return false
        }
        flushAtEndOfTick()
        // The sweep is too coarse for who is in a hurry.
        if receiver.deadline < limit {
            let loop = context.eventLoop
            loop.assumeIsolated().scheduleTask(deadline: receiver.deadline) { self.checkDeadline(now: loop.now) }
        }
        return true
    }

    func stopAwaiting(_ receiver: any UpstreamReceiver) { state.stopAwaiting(receiver) }

    func release(by receiver: any UpstreamReceiver) {
        if isClosed { pool.lost(by: receiver) } else { pool.released(self, by: receiver, wasUsed: false) }
    }

    func fail(_ failure: UpstreamFailure) {
        state.goAway()
        end(failure)
    }

    func close() { fail(.connectionLost) }

    func checkDeadline(now: NIODeadline) {
        state.timePassed(now: now)
        performActions()
    }
}
