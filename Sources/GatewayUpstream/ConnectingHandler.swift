import GatewayCore
import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS

/// A connection to a region's API until it is there: it makes way for the handler of the protocol that was agreed on.
final class ConnectingHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let id: PoolStateMachine.ConnectionID
    private let pool: RegionalPool
    private let isSecure: Bool
    /// The tunnel through the proxy is not open yet.
    private var lacksTunnel: Bool
    private var isOver = false
    private var context: ChannelHandlerContext?
    /// The peer's, or the proxy's. Remembered, since a channel that is reset has none.
    private var address: SocketAddress?
    /// Has to be established within the same time.
    private var successor: HTTP2ChannelHandler?

    init(id: PoolStateMachine.ConnectionID, pool: RegionalPool, isSecure: Bool, isBehindProxy: Bool) {
        lacksTunnel = isBehindProxy
        self.id = id
        self.pool = pool
        self.isSecure = isSecure
    }

    func handlerAdded(context: ChannelHandlerContext) {
        lacksTunnel = false
        guard !isOver else { return context.close(promise: nil) }  // given up meanwhile
        self.context = context
        address = context.remoteAddress
        if context.channel.isActive && !isSecure { connected(context, .withoutNegotiation) }
    }

    func channelActive(context: ChannelHandlerContext) {
        if !isSecure { connected(context, .withoutNegotiation) }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .handshakeCompleted(let negotiated) = event as? TLSUserEvent else {
            return context.fireUserInboundEventTriggered(event)
        }
        connected(context, .byNegotiation(negotiated))
    }

    private func connected(_ context: ChannelHandlerContext, _ choice: HTTP2Use.Choice) {
        guard !isOver else { return }
        isOver = true
        self.context = nil
        do {
            let pipeline = context.pipeline.syncOperations
            if pool.http2.isChosen(choice) {
                let handler = HTTP2ChannelHandler(id: id, pool: pool, at: address)
                successor = handler
                pool.negotiated(handler)
                try pipeline.addHandler(handler, position: .after(self))
            } else {
                let handler = HTTP1ChannelHandler(id: id, pool: pool)
                try pipeline.addHandler(handler, position: .after(self))
                pool.established(handler, streams: nil, at: address)
            }
            pipeline.removeHandler(context: context, promise: nil)
        } catch {
            pool.connectFailed(id, .connectionLost, at: address)
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        giveUp(.connectionLost)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failed(error)
    }

    /// The connection could not be established.
    func failed(_ error: any Error) {
        giveUp(UpstreamUnavailable(error))
    }

    /// It has taken too long, with all that belongs to it.
    func timedOut() {
        if let successor { successor.timedOut() } else { giveUp(.connectTimeout) }
        successor = nil
    }

    func giveUp(_ reason: UpstreamUnavailable) {
        guard !isOver else { return }
        isOver = true
        pool.connectFailed(id, lacksTunnel ? reason.ofProxy : reason, at: address)
        context?.close(promise: nil)
        context = nil
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
