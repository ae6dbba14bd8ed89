import GatewayCore
import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS

/// One connection to a region's API, from the handshake to the last response. Carries one message at a time.
final class UpstreamChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        /// Can transition to: free, closed.
        case connecting
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
    private let isSecure: Bool
    /// The tunnel through the proxy is not open yet.
    private var lacksTunnel: Bool
    private var state = State.connecting
    private var decoder = ResponseDecoder()
    private var context: ChannelHandlerContext?
    /// The peer's, or the proxy's. Remembered, since a channel that is reset has none.
    private var address: SocketAddress?

    init(id: PoolStateMachine.ConnectionID, pool: RegionalPool, isSecure: Bool, isBehindProxy: Bool = false) {
        lacksTunnel = isBehindProxy
        self.id = id
        self.pool = pool
        self.isSecure = isSecure
    }

    func handlerAdded(context: ChannelHandlerContext) {
        lacksTunnel = false
        guard case .connecting = state else { return context.close(promise: nil) }  // given up meanwhile
        self.context = context
        address = context.remoteAddress
        if context.channel.isActive && !isSecure { established() }
    }

    func channelActive(context: ChannelHandlerContext) {
        if !isSecure { established() }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted = event as? TLSUserEvent { established() }
        context.fireUserInboundEventTriggered(event)
    }

    private func established() {
        guard case .connecting = state else { return }
        state = .free
        pool.established(self, at: address)
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
        case .connecting, .free, .closed: nil
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(.connectionLost)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case .connecting = state { connectFailed(error) } else { fail(.connectionLost) }
    }

    /// The connection could not be established.
    func connectFailed(_ error: any Error) {
        giveUpConnecting(UpstreamUnavailable(error))
    }

    /// The handshake has taken too long.
    func connectTimedOut() {
        giveUpConnecting(.connectTimeout)
    }

    private func giveUpConnecting(_ reason: UpstreamUnavailable) {
        guard case .connecting = state else { return }
        let reason = lacksTunnel ? reason.ofProxy : reason
        state = .closed
        pool.connectFailed(id, reason, at: address)
        context?.close(promise: nil)
        context = nil
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
        let before = state
        state = .closed
        switch before {
        case .closed: return
        case .connecting: pool.connectFailed(id, .connectionLost, at: address)
        case .free, .awaitingAnswer, .awaitingLateAnswer: pool.closed(self)
        }
        context?.close(promise: nil)
        context = nil
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
        case .connecting, .free, .closed: break
        }
    }
}

extension UpstreamChannelHandler: PooledConnection {
    func send(_ request: UpstreamRequest, limit: NIODeadline, receiver: any UpstreamReceiver) -> Bool {
        guard case .free = state, let context, context.channel.isActive else {
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

extension UpstreamUnavailable {
    /// Maps an error that occurred before the connection was established.
    init(_ error: any Error) {
        switch error {
        case let error as NIOConnectionError:
            self = error.connectionErrors.isEmpty ? .notResolved : Self(connecting: error.connectionErrors[0].error)
        case let error as TunnelHandler.TunnelError: self = .tunnelRefused(error.description)
        case let error as NIOSSLError: self = .tlsFailed(String(describing: error))
        case let error as NIOSSLExtraError: self = .tlsFailed(error.description)
        case let error as BoringSSLError: self = .tlsFailed(String(describing: error))
        default: self = Self(connecting: error)
        }
    }

    /// The same failure, attributed to the proxy.
    fileprivate var ofProxy: UpstreamUnavailable {
        switch self {
        case .notResolved: .tunnelRefused("its name was not resolved")
        case .connectTimeout: .tunnelRefused("it did not answer in time")
        case .connectionRefused, .connectionLost: .tunnelRefused("it did not accept a connection")
        case .tunnelRefused, .tlsFailed, .noFreeConnection, .skillThrottled, .circuitOpen: self
        }
    }

    private init(connecting error: any Error) {
        if case .connectTimeout = error as? ChannelError { self = .connectTimeout } else { self = .connectionRefused }
    }
}
