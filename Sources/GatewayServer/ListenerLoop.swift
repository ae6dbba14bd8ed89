import GatewayCore
import Glibc
import NIOCore

/// The connections of one listener on one event loop: their time limits, and draining.
final class ListenerLoop {
    /// Time limits are looked at this often; so much later than promised a connection may be closed, or a few seconds where
    /// thousands are overdue together.
    private static let sweepInterval = TimeAmount.milliseconds(250)
    /// A sweep goes on for so long at a time, and then lets everything else go first for a while: to refuse many connections, as those
    /// of one attacker are, takes many milliseconds.
    private static let (sweepSlice, sweepPause) = (TimeAmount.microseconds(200), TimeAmount.microseconds(500))
    /// How long a client whose answer said `close` may take to read it.
    private static let lingerTimeout = TimeAmount.seconds(2)

    let eventLoop: any EventLoop
    let handler: any RequestHandler
    private let encoder: ResponseEncoder
    let limits: RequestDecoder.Limits
    /// Nil: not spoken.
    let http2: HTTP2ServerState.Limits?
    let timeouts: HTTPConnectionState.Timeouts
    /// Connections with answers to be sent at the end of the turn.
    private let flushes: EndOfTickQueue
    private(set) var isDraining = false
    /// When a connection that becomes idle now has been so for too long: as of the last sweep, since for every answer
    /// the time would be asked for otherwise, and up to an interval late.
    private(set) var idleDeadline: NIODeadline
    /// The `Date` field of answers, as of the last sweep.
    private(set) var dateLine = ByteBuffer()
    /// Of HTTP/2, since the start.
    var statistics = ListenerStatistics()
    /// Nil: none is believed.
    private let proxies: TrustedProxies?
    private let isBehindProxyProtocol: Bool
    private let onRefusedProxy: @Sendable (ProxyRefusal, SocketAddress?) -> Void
    private let onRevoked: @Sendable (Peer) -> Void
    private var connections: [ObjectIdentifier: Connection] = [:]
    private var dateSecond = 0
    private var sweep: RepeatedTask?
    /// What the sweep in progress has not looked at.
    private var unswept: [any ClientConnection] = []
    private let gate: ConnectionGate
    let tls: ListenerTLS?
    private var whenEmpty: EventLoopPromise<Void>?

    private struct Connection {
        let client: any ClientConnection
        /// Where it is counted. What comes from a trusted proxy comes from many, and counts in all alone.
        let place: Peer.Network
    }

    init(
        eventLoop: any EventLoop, handler: any RequestHandler, encoder: ResponseEncoder,
        configuration: ListenerConfiguration, tls: ListenerTLS?, gate: ConnectionGate,
        onRefusedProxy: @escaping @Sendable (ProxyRefusal, SocketAddress?) -> Void = { _, _ in },
        onRevoked: @escaping @Sendable (Peer) -> Void = { _ in }
    ) {
        let proxies = configuration.trustedProxies.isEmpty ? nil : TrustedProxies(configuration.trustedProxies)
        self.proxies = proxies
        isBehindProxyProtocol = configuration.proxyProtocol == .required
        self.onRefusedProxy = onRefusedProxy
        self.onRevoked = onRevoked
        self.eventLoop = eventLoop
        self.handler =
            if let proxies, !isBehindProxyProtocol { ProxiedHandler(handler, behind: proxies) } else { handler }
        self.tls = tls
        self.encoder = encoder
        limits = configuration.limits
        http2 = configuration.http2Limits
        timeouts = HTTPConnectionState.Timeouts(
            head: TimeAmount(configuration.headTimeout), content: TimeAmount(configuration.contentTimeout),
            idle: TimeAmount(configuration.idleTimeout), write: TimeAmount(configuration.writeTimeout))
        self.gate = gate
        idleDeadline = eventLoop.now + timeouts.idle
        flushes = EndOfTickQueue(on: eventLoop)
    }

    func performAtEndOfTick(_ work: any EndOfTickQueue.Work) { flushes.append(work) }

    /// - Parameter buffer: as `ResponseEncoder.encode` has it.
    func encode(
        _ answer: Response, keepsAlive: Bool, hasContent: Bool, _ id: ExchangeID, into buffer: inout ByteBuffer
    ) {
        let form = ResponseEncoder.Form(keepsAlive: keepsAlive, hasContent: hasContent, dateLine: dateLine, id: id)
        encoder.encode(answer, form, into: &buffer)
    }

    /// False if there is no room for one more from its address: it is to be closed, and does not count.
    func opened(_ connection: any ClientConnection) -> Bool {
        let isOfProxy = proxies?.contains(connection.peer.address) ?? false
        let place = isOfProxy ? .local : connection.peer.place
        guard gate.opened(from: place) else { return false }
        connections[ObjectIdentifier(connection)] = Connection(client: connection, place: place)
        if sweep == nil { startSweep() }
        return true
    }

    /// A proxy has told whom a connection comes from. False if there is no room for one more from there: it is to be closed.
    func clientIdentified(_ connection: any ClientConnection) -> Bool {
        guard gate.takeShare(of: connection.peer.place) else { return false }
        connections[ObjectIdentifier(connection)] = Connection(client: connection, place: connection.peer.place)
        return true
    }

    /// A client has shown a certificate that is revoked.
    func revoked(_ peer: Peer) {
        statistics.revoked += 1
        onRevoked(peer)
    }

    /// What has to stand in front of everything else on a new connection; nil: nothing.
    func proxyHeader() -> ProxyHeaderHandler? {
        guard isBehindProxyProtocol, let proxies else { return nil }
        return ProxyHeaderHandler(trusted: proxies) { [self] refusal, address in
            statistics.refusedProxies[refusal, default: 0] += 1
            onRefusedProxy(refusal, address)
        }
    }

    /// The same connection is handled by another from here on.
    func replace(_ connection: any ClientConnection, with other: any ClientConnection) {
        guard let known = connections.removeValue(forKey: ObjectIdentifier(connection)) else { return }
        connections[ObjectIdentifier(other)] = Connection(client: other, place: known.place)
    }

    func closed(_ connection: any ClientConnection) {
        guard let known = connections.removeValue(forKey: ObjectIdentifier(connection)) else { return }
        gate.closed(from: known.place)
        if connections.isEmpty {
            sweep?.cancel()
            sweep = nil
            whenEmpty?.succeed()
            whenEmpty = nil
        }
    }

    /// Counts the changes of the authorities that clients' certificates are verified with.
    var authorities: Int { tls?.authorities ?? 0 }

    /// Closes our side and gives the client time to read: closing at once, with bytes unread, would reset the
    /// connection and could destroy the response in transit (RFC 9112 section 9.6).
    func closeGracefully(_ context: ChannelHandlerContext, inputIsClosed: Bool) {
        // Where both sides are closed, NIO does not wait for what is left to be written.
        if !inputIsClosed || !Self.hasUnwritten(context.channel) { context.close(mode: .output, promise: nil) }
        lingers(context.channel, until: nil)
    }

    /// The client has been told that the connection ends; it is closed when it has read that, or after a while.
    ///
    /// One that is not writable is left to its write timeout; what is left once it is gets as long again.
    private func lingers(_ channel: any Channel, until limit: NIODeadline?) {
        eventLoop.assumeIsolated().scheduleTask(in: Self.lingerTimeout) {
            // A channel that was closed while it was not writable stays so.
            guard channel.isActive else { return }
            guard channel.isWritable else { return self.lingers(channel, until: nil) }
            let now = self.eventLoop.now
            let limit = limit ?? now + self.timeouts.write
            if Self.hasUnwritten(channel) && now < limit {
                self.lingers(channel, until: limit)
            } else {
                channel.close(promise: nil)
            }
        }
    }

    /// Whether there are bytes for which the socket has had no room yet. Closing would lose them.
    static func hasUnwritten(_ channel: any Channel) -> Bool {
        ((try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0) > 0
    }

    /// From here on every connection ends with an answer, or between two.
    func startDraining() {
        isDraining = true
        for connection in clients { connection.startDraining() }
    }

    /// What there is now, and what has been since the start.
    func currentStatistics() -> ListenerStatistics {
        var statistics = statistics
        for connection in clients {
            statistics.connections[connection.peer.version, default: 0] += 1
            statistics.streams += (connection as? HTTP2Connection)?.openStreams ?? 0
        }
        return statistics
    }

    /// Ends what is idle, and what is not as soon as it is answered; `HTTP2Connection` says when that is.
    func drain() {
        for connection in clients { connection.drain() }
    }

    /// Completes when the last connection is gone.
    func whenAllAreGone() -> EventLoopFuture<Void> {
        guard !connections.isEmpty else { return eventLoop.makeSucceededVoidFuture() }
        let promise = whenEmpty ?? eventLoop.makePromise()
        whenEmpty = promise
        return promise.futureResult
    }

    /// Closes every connection, answered or not.
    func abort() {
        for connection in clients { connection.close() }
    }

    private var clients: [any ClientConnection] { connections.values.map(\.client) }

    private func startSweep() {
        swept(eventLoop.now)
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        sweep = eventLoop.scheduleRepeatedTask(initialDelay: Self.sweepInterval, delay: Self.sweepInterval) { _ in
            bound.value.closeOverdue()
        }
    }

    private func swept(_ now: NIODeadline) {
        idleDeadline = now + Self.sweepInterval + timeouts.idle
        let second = time(nil)
        guard second != dateSecond else { return }
        dateSecond = second
        dateLine = HTTPDate.fieldLine(unixTime: second)
    }

    private func closeOverdue() {
        swept(eventLoop.now)
        guard unswept.isEmpty else { return }
        unswept = clients
        goOnSweeping()
    }

    private func goOnSweeping() {
        let pause = eventLoop.now + Self.sweepSlice
        while let connection = unswept.popLast() {
            let now = eventLoop.now
            // It may have been closed meanwhile.
            if connections[ObjectIdentifier(connection)] != nil { connection.checkDeadlines(now: now) }
            guard now < pause || unswept.isEmpty else {
                eventLoop.assumeIsolated().scheduleTask(in: Self.sweepPause) { self.goOnSweeping() }
                return
            }
        }
    }
}
