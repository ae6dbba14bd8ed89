package import GatewayCore
package import NIOCore
package import TransportSecurity

/// The connections of one event loop to one region: performs the actions of `RegionState`.
package final class RegionalPool: UpstreamPool {
    /// How often deadlines and idle connections are checked.
    private static let sweepInterval = TimeAmount.milliseconds(100)
    /// Lets probes be told from messages in the region's logs.
    private static let probeUserAgent = "skillgate"

    /// Opens a connection, with this handler as the last of its pipeline.
    typealias Connect = (any ChannelHandler, TimeAmount, _ failed: @escaping (any Error) -> Void) -> Void

    private let endpoint: APIEndpoint
    private let isBehindProxy: Bool
    private let addresses: NIOLoopBoundBox<HostAddresses>
    private let connectTimeout: TimeAmount
    private let connect: Connect
    let http2: HTTP2Use
    private let userAgent: String
    private let writer: HTTP1RequestWriter
    /// The last request; kept so that the next one reuses its memory.
    private var requestBuffer = ByteBuffer()
    private let eventLoop: any EventLoop
    private let writes: EndOfTickQueue
    private let onConnectFailure: @Sendable (UpstreamUnavailable) -> Void
    private let onCircuitChange: @Sendable (CircuitState) -> Void
    private var state: RegionState
    private var connections = SlotMap<any PooledConnection>()
    private var connecting = SlotMap<ConnectingHandler>()
    private var isPerforming = false
    private var timer: (deadline: NIODeadline, task: Scheduled<Void>)?
    private var sweep: RepeatedTask?
    /// When the connections were last looked at, or one was established: since then they count as idle that carry nothing more, since
    /// for every message the clock would be asked otherwise.
    private var swept = NIODeadline.uptimeNanoseconds(0)
    private var idleness: EventLoopIdleCounter

    /// - Parameters:
    ///   - proxy: for TLS connections; nil to connect directly.
    ///   - writes: of this event loop; nil for one of its own.
    ///   - onConnectFailure: called with the reason when a connection cannot be established.
    ///   - onCircuitChange: called when the circuit opens or closes.
    package convenience init(
        to endpoint: APIEndpoint, proxy: ForwardProxy? = nil, tls: ClientTLS, userAgent: String,
        configuration: RegionConfiguration, eventLoop: any EventLoop, writes: EndOfTickQueue? = nil,
        onConnectFailure: @escaping @Sendable (UpstreamUnavailable) -> Void = { _ in },
        onCircuitChange: @escaping @Sendable (CircuitState) -> Void = { _ in }
    ) {
        let proxy = endpoint.isSecure ? proxy : nil
        let addresses = NIOLoopBoundBox.makeBoxSendingValue(HostAddresses(), eventLoop: eventLoop)
        let connector = UpstreamConnector(
            endpoint: endpoint, proxy: proxy, addresses: addresses, tls: tls, eventLoop: eventLoop)
        self.init(
            to: endpoint, isBehindProxy: proxy != nil, addresses: addresses, userAgent: userAgent,
            configuration: configuration, eventLoop: eventLoop, writes: writes,
            onConnectFailure: onConnectFailure, onCircuitChange: onCircuitChange,
            connect: { connector.connect($0, $1, failed: $2) })
    }

    init(
        to endpoint: APIEndpoint, isBehindProxy: Bool, addresses: NIOLoopBoundBox<HostAddresses>,
        userAgent: String, configuration: RegionConfiguration, eventLoop: any EventLoop,
        writes: EndOfTickQueue? = nil, onConnectFailure: @escaping @Sendable (UpstreamUnavailable) -> Void,
        onCircuitChange: @escaping @Sendable (CircuitState) -> Void, connect: @escaping Connect
    ) {
        self.endpoint = endpoint
        self.isBehindProxy = isBehindProxy
        self.addresses = addresses
        self.eventLoop = eventLoop
        self.writes = writes ?? EndOfTickQueue(on: eventLoop)
        self.connect = connect
        http2 = configuration.http2
        self.userAgent = userAgent
        writer = HTTP1RequestWriter(endpoint: endpoint, userAgent: userAgent)
        self.onConnectFailure = onConnectFailure
        self.onCircuitChange = onCircuitChange
        connectTimeout = TimeAmount(configuration.pool.connectTimeout)
        var configuration = configuration
        configuration.pool.mayHaveStreams = http2.isPossible(isSecure: endpoint.isSecure)
        state = RegionState(configuration)
        idleness = EventLoopIdleCounter(now: eventLoop.now)
    }

    /// For metrics.
    package var status: UpstreamStatus { state.status }

    package func lease(for receiver: any UpstreamReceiver) -> Result<any UpstreamConnection, UpstreamUnavailable>? {
        let lease = state.leaseIdle(for: receiver, now: { eventLoop.now }) ?? leaseOrWait(for: receiver)
        perform()
        return result(lease)
    }

    private func leaseOrWait(for receiver: any UpstreamReceiver) -> RegionState.Lease {
        let now = eventLoop.now
        sampleIdleness(now: now)
        return state.leaseOrWait(for: receiver, now: now)
    }

    private func result(_ lease: RegionState.Lease) -> Result<any UpstreamConnection, UpstreamUnavailable>? {
        switch lease {
        case .connection(let id): connections[id].map { .success($0) } ?? .failure(.connectionLost)
        case .unavailable(let reason): .failure(reason)
        case .waits: nil
        }
    }

    /// Closes every connection. A message that still waits for its response is told that the connection is lost.
    package func shutDown() {
        state.shutDown()
        for connection in connecting.values { connection.giveUp(.connectionLost) }
        for connection in connections.values { connection.fail(.connectionLost) }
        sweep?.cancel()
        sweep = nil
    }

    // MARK: Actions

    /// Performs the pending actions in order. A receiver that is called may add actions, which are performed last.
    private func perform() {
        guard !isPerforming else { return }
        isPerforming = true
        while let action = state.actions.popFirst() { perform(action) }
        isPerforming = false
        setTimer()
        if sweep == nil && state.needsSweep { startSweep() }
    }

    private func perform(_ action: RegionState.Action) {
        switch action {
        case .open(let id): open(id)
        case .close(let id): connections[id]?.close()
        case .give(let id, let receiver): receiver.upstreamLeased(result(.connection(id)) ?? .failure(.connectionLost))
        case .refuse(let receiver, let reason): receiver.upstreamLeased(.failure(reason))
        case .leaseConnection(let receiver):
            let now = eventLoop.now
            sampleIdleness(now: now)
            let lease = state.leaseAfterSkill(for: receiver, now: now)
            if let result = result(lease) { receiver.upstreamLeased(result) }
        case .probe: probe()
        case .report(let circuit): onCircuitChange(circuit)
        }
    }

    private func open(_ id: RegionState.ConnectionID) {
        guard !state.isShutDown else {
            return state.connectFailed(id, .connectionLost, hasOtherAddress: false, now: eventLoop.now)
        }
        let handler = ConnectingHandler(
            id: id, pool: self, isSecure: endpoint.isSecure, isBehindProxy: isBehindProxy)
        connecting[id] = handler
        // Covers the handshake, too; a handler that is established by then does nothing.
        eventLoop.assumeIsolated().scheduleTask(in: connectTimeout) { handler.timedOut() }
        connect(handler, connectTimeout, { handler.failed($0) })
    }

    private func probe() {
        let handler = ProbeHandler(endpoint, userAgent: Self.probeUserAgent, http2: http2) { [self] isAnswered in
            state.probeEnded(isAnswered: isAnswered, now: eventLoop.now)
            perform()
        }
        // One timeout to connect, and one more for the response.
        eventLoop.assumeIsolated().scheduleTask(in: connectTimeout * 2) { handler.end(isAnswered: false) }
        connect(handler, connectTimeout, { _ in handler.end(isAnswered: false) })
    }

    /// As HTTP/1.1; valid until the next.
    func serialize(_ request: UpstreamRequest) -> ByteBuffer {
        writer.write(request, into: &requestBuffer)
        return requestBuffer
    }

    func performAtEndOfTick(_ work: any EndOfTickQueue.Work) { writes.append(work) }

    // MARK: Events of connections

    var now: NIODeadline { eventLoop.now }

    func http2RequestWriter() -> HTTP2RequestWriter {
        HTTP2RequestWriter(endpoint: endpoint, userAgent: userAgent)
    }

    /// TLS has agreed on HTTP/2; whether the peer speaks it is seen next.
    func negotiated(_ connection: HTTP2ChannelHandler) {
        connecting[connection.id] = nil
        connections[connection.id] = connection
    }

    /// - Parameter streams: as many messages at once; nil for one.
    func established(_ connection: any PooledConnection, streams: Int?, at address: SocketAddress?) {
        connecting[connection.id] = nil
        connections[connection.id] = connection
        if let address, addresses.value.hasFailures { addresses.value.succeeded(address) }
        swept = eventLoop.now
        state.established(connection.id, streams: streams, now: swept)
        perform()
    }

    /// The peer takes more or fewer messages at once on a connection than before.
    func changed(_ connection: HTTP2ChannelHandler, streams: Int) {
        state.changed(connection.id, streams: streams)
        perform()
    }

    /// The peer takes no more messages on a connection.
    ///
    /// - Parameter isUnused: nothing was sent on it.
    func drains(_ connection: HTTP2ChannelHandler, isUnused: Bool) {
        state.drains(connection.id, isUnused: isUnused, now: eventLoop.now)
        perform()
    }

    /// - Parameter receiver: whose message the connection carried or, if it was not used, would have.
    func released(_ connection: any PooledConnection, by receiver: any UpstreamReceiver, wasUsed: Bool) {
        state.released(connection.id, skill: receiver.skill, wasUsed: wasUsed, now: swept)
        perform()
    }

    /// The connection is gone that the receiver had leased.
    func lost(by receiver: any UpstreamReceiver) {
        state.left(receiver.skill)
        perform()
    }

    /// The region responded to a message; its connection has not been released yet.
    func responded(to receiver: any UpstreamReceiver, status: Int) {
        state.responded(skill: receiver.skill, status: status, now: { eventLoop.now })
        perform()
    }

    /// No response came to a message that was sent.
    func failed(_ failure: UpstreamFailure) {
        state.failed(failure, now: eventLoop.now)
        perform()
    }

    /// - Parameter address: where the handshake failed; nil if TCP could not connect to any address of the host.
    func connectFailed(_ id: RegionState.ConnectionID, _ reason: UpstreamUnavailable, at address: SocketAddress?) {
        connecting[id] = nil
        connections[id] = nil
        onConnectFailure(reason)
        let now = eventLoop.now
        // What fails in a tunnel is no fault of the proxy's address.
        let hasOther = isBehindProxy ? false : address.map { addresses.value.failed($0, now: now) } ?? false
        state.connectFailed(id, reason, hasOtherAddress: hasOther, now: now)
        perform()
    }

    /// - Parameter isUnused: nothing was sent on it, though there was room for many messages.
    func closed(_ connection: any PooledConnection, isUnused: Bool = false) {
        connections[connection.id] = nil
        state.closed(connection.id, isUnused: isUnused, now: eventLoop.now)
        perform()
    }

    // MARK: Time

    private func setTimer() {
        guard let deadline = state.nextTimeout, timer.map({ deadline < $0.deadline }) ?? true else { return }
        timer?.task.cancel()
        let task = eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { self.timerFired() }
        timer = (deadline, task)
    }

    private func timerFired() {
        timer = nil
        state.timeoutPassed(now: eventLoop.now)
        perform()
    }

    private func startSweep() {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        sweep = eventLoop.scheduleRepeatedTask(initialDelay: Self.sweepInterval, delay: Self.sweepInterval) { _ in
            bound.value.sweepOnce()
        }
    }

    private func sweepOnce() {
        let now = eventLoop.now
        swept = now
        // Looked up before any is closed: closing one may open another in the slot of the next.
        let expired = state.closeExpired(now: now).compactMap { connections[$0] }
        for connection in expired { connection.close() }
        for connection in connections.values { connection.checkDeadline(now: now) }
        state.timePassed(now: now)
        perform()
        openForWaiters()
        if !state.needsSweep {
            sweep?.cancel()
            sweep = nil
        }
    }

    private func openForWaiters() {
        guard state.hasWaiters else { return }
        sampleIdleness(now: eventLoop.now)
        state.openForWaiters()
        perform()
    }

    /// Samples whether the region or this event loop is the bottleneck.
    private func sampleIdleness(now: NIODeadline) {
        let sample = idleness.sample(now: now)
        state.sampled(sample)
        if case .tooLate = sample {
            eventLoop.assumeIsolated().scheduleTask(in: EventLoopIdleCounter.window) { self.openForWaiters() }
        }
    }
}
