import GatewayCore
import NIOCore

/// One connection to a region's API over HTTP/1.1. Carries one message at a time.
final class HTTP1ChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        /// Idle in the pool, or leased and nothing sent yet. Can transition to: awaitingAnswer, closed.
        case free
        /// A message was handed to the socket. Can transition to: awaitingLateAnswer, free, closed.
        case awaitingAnswer(any UpstreamReceiver, limit: NIODeadline)
        /// The message's own time is up, and the region's is not: whoever is in a hurry costs others no connection. Can transition to: free,
        /// closed.
        case awaitingLateAnswer(any UpstreamReceiver, limit: NIODeadline)
        case closed
    }

    let id: PoolStateMachine.ConnectionID
    private let pool: RegionalPool
    private var state = State.free
    private var decoder = ResponseDecoder()
    private var context: ChannelHandlerContext?
    /// That of `context`, which takes longer to ask.
    private var channel: (any Channel)?

    init(id: PoolStateMachine.ConnectionID, pool: RegionalPool) {
        self.id = id
        self.pool = pool
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        channel = context.channel
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let (receiver, isLate) = waiting else {
            return close()  // no request is outstanding
        }
        do {
            switch try decoder.receive(unwrapInboundIn(data)) {
            case .needsMoreBytes: break
            case .answer(let answer, let isReusable):
                state = .free
                pool.responded(to: receiver, status: answer.status)
                if isReusable { pool.released(self, by: receiver, wasUsed: true) } else { close(lostBy: receiver) }
                if isLate { receiver.upstreamEnded(late: answer) } else { receiver.upstreamResponded(answer) }
            }
        } catch {
            fail(.malformedAnswer(error.detail))
        }
    }

    /// Who waits for the answer, and whether it has been told that none came in time.
    private var waiting: (receiver: any UpstreamReceiver, isLate: Bool)? {
        switch state {
        case .awaitingAnswer(let receiver, _): (receiver, false)
        case .awaitingLateAnswer(let receiver, _): (receiver, true)
        case .free, .closed: nil
        }
    }

    /// Nobody behind it waits for that.
    func channelReadComplete(context: ChannelHandlerContext) {}

    func channelInactive(context: ChannelHandlerContext) {
        fail(.connectionLost)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(.connectionLost)
    }

    /// Ends the connection. A receiver that waits gets the response as far as it arrived, provided its head did: the status
    /// decides the outcome of the message.
    func fail(_ failure: UpstreamFailure) {
        guard let (receiver, isLate) = waiting else { return close() }
        let answer = decoder.answerSoFar()
        if let answer { pool.responded(to: receiver, status: answer.status) }
        close(lostBy: receiver)
        if answer == nil { pool.failed(failure) }
        if isLate {
            receiver.upstreamEnded(late: answer)
        } else if let answer {
            receiver.upstreamResponded(answer)
        } else {
            receiver.upstreamFailed(failure)
        }
    }

    private func close(lostBy receiver: any UpstreamReceiver) {
        close()
        pool.lost(by: receiver)
    }

    /// Closes and tells the pool, once.
    func close() {
        if case .closed = state { return }
        state = .closed
        pool.closed(self)
        context?.close(promise: nil)
        context = nil
        channel = nil
    }

    /// Called by the sweep of the pool.
    func checkDeadline(now: NIODeadline) {
        switch state {
        case .awaitingAnswer(let receiver, let limit):
            guard min(receiver.deadline, limit) <= now else { return receiver.upstreamStillAwaited(now: now) }
            // As far as an answer arrived, its status decides.
            if receiver.deadline >= limit || decoder.answerSoFar() != nil { return fail(.timeout) }
            state = .awaitingLateAnswer(receiver, limit: limit)
            receiver.upstreamFailed(.timeout)
            // After a pause of the process both may be over; the end is told in any case.
            if limit <= now { fail(.timeout) }
        case .awaitingLateAnswer(_, let limit): if limit <= now { fail(.timeout) }
        case .free, .closed: break
        }
    }
}

extension HTTP1ChannelHandler: PooledConnection {
    func send(_ request: UpstreamRequest, limit: NIODeadline, receiver: any UpstreamReceiver) -> Bool {
        guard case .free = state, let context, channel?.isActive == true else {
            close(lostBy: receiver)
            return false
        }
        state = .awaitingAnswer(receiver, limit: limit)
        context.writeAndFlush(wrapOutboundOut(pool.serialize(request)), promise: nil)
        // The sweep is too coarse for who is in a hurry.
        if receiver.deadline < limit {
            let loop = context.eventLoop
            loop.assumeIsolated().scheduleTask(deadline: receiver.deadline) { self.checkDeadline(now: loop.now) }
        }
        return true
    }

    func stopAwaiting(_: any UpstreamReceiver) {
        guard case .awaitingAnswer(let receiver, let limit) = state else { return }
        state = .awaitingLateAnswer(receiver, limit: limit)
    }

    func release(by receiver: any UpstreamReceiver) {
        guard case .free = state else { return pool.lost(by: receiver) }
        pool.released(self, by: receiver, wasUsed: false)
    }
}
