public import GatewayCore
public import NIOCore

/// The connections of one event loop to one region: opens, hands out and closes them as `PoolStateMachine` says.
public final class RegionalPool: UpstreamPool {
    /// Deadlines and idle connections are looked at this often.
    private static let sweepInterval = TimeAmount.milliseconds(100)
    /// Those whose time is up are looked for once in this time, however many wait.
    private static let waitGranularity = TimeAmount.milliseconds(1)

    private struct Waiter {
        var receiver: any UpstreamReceiver
        var deadline: NIODeadline
        /// Whether it was given as long as a handshake may take.
        var waitsForHandshake = false
    }

    /// The requests that say whether a region is back name themselves.
    private static let probeUserAgent = "skillgate"

    /// Opens a connection, with this handler as the last of its pipeline.
    typealias Connect = (any ChannelHandler, TimeAmount, _ failed: @escaping (any Error) -> Void) -> Void

    private let endpoint: APIEndpoint
    private let isBehindProxy: Bool
    private let connect: Connect
    private let eventLoop: any EventLoop
    private let onConnectFailure: @Sendable (UpstreamUnavailable) -> Void
    private let onCircuitChange: @Sendable (CircuitBreaker.State) -> Void
    private var circuit: CircuitBreaker
    private var limit: InFlightLimit
    /// Above it, messages wait for others of their skill before they wait for a connection.
    private var skills: SkillLimits<Waiter>
    private var machine: PoolStateMachine
    private var connections = SlotTable<UpstreamChannelHandler>()
    private var waiters = FairQueue<Waiter>()
    /// One for all waiters: nearly every one is served long before its time is up.
    private var waitTimer: (deadline: NIODeadline, task: Scheduled<Void>)?
    private var rests: EventLoopRests
    private var sweep: RepeatedTask?
    private var isShutDown = false

    public struct Configuration: Equatable, Sendable {
        public var pool = PoolStateMachine.Configuration()
        public var circuit = CircuitBreaker.Configuration()
        public var limit = InFlightLimit.Configuration()

        public init() {}
    }

    /// - Parameters:
    ///   - proxy: for TLS connections; nil: they go straight to the region.
    ///   - onConnectFailure: told why a connection did not come about.
    ///   - onCircuitChange: told when the circuit opens and closes.
    public convenience init(
        to endpoint: APIEndpoint, proxy: ForwardProxy? = nil, trust: UpstreamTrust, configuration: Configuration,
        eventLoop: any EventLoop,
        onConnectFailure: @escaping @Sendable (UpstreamUnavailable) -> Void = { _ in },
        onCircuitChange: @escaping @Sendable (CircuitBreaker.State) -> Void = { _ in }
    ) {
        let connector = UpstreamConnector(
            endpoint: endpoint, proxy: endpoint.isSecure ? proxy : nil, trust: trust, eventLoop: eventLoop)
        self.init(
            to: endpoint, isBehindProxy: connector.proxy != nil, configuration: configuration, eventLoop: eventLoop,
            onConnectFailure: onConnectFailure, onCircuitChange: onCircuitChange,
            connect: { connector.connect($0, $1, failed: $2) })
    }

    init(
        to endpoint: APIEndpoint, isBehindProxy: Bool, configuration: Configuration, eventLoop: any EventLoop,
        onConnectFailure: @escaping @Sendable (UpstreamUnavailable) -> Void,
        onCircuitChange: @escaping @Sendable (CircuitBreaker.State) -> Void, connect: @escaping Connect
    ) {
        self.endpoint = endpoint
        self.isBehindProxy = isBehindProxy
        self.eventLoop = eventLoop
        self.connect = connect
        self.onConnectFailure = onConnectFailure
        self.onCircuitChange = onCircuitChange
        circuit = CircuitBreaker(configuration.circuit)
        limit = InFlightLimit(maximum: configuration.pool.maximumConnections, configuration.limit)
        skills = SkillLimits(
            maximum: configuration.pool.maximumConnections, configuration.limit,
            standing: TimeAmount(configuration.pool.slotTimeout))
        machine = PoolStateMachine(configuration.pool)
        rests = EventLoopRests(now: eventLoop.now)
    }

    /// For metrics.
    public var status: UpstreamStatus {
        var status = UpstreamStatus()
        status.connections = UpstreamConnectionCounts(
            idle: machine.idleCount, leased: machine.leasedCount, connecting: machine.connectingCount)
        status.circuit = circuit.state
        status.inFlightLimit = limit.current
        status.inFlightMaximum = machine.configuration.maximumConnections
        status.skillLimits = skills.reducedLimits
        return status
    }

    public func lease(for receiver: any UpstreamReceiver) -> Result<any UpstreamConnection, UpstreamUnavailable>? {
        guard !isShutDown else { return .failure(.connectionLost) }
        guard circuit.isClosed else {
            return .failure(.circuitOpen(retryAfter: circuit.retryAfter(now: eventLoop.now)))
        }
        guard skills.enter(receiver.skill) else { return waitForSkill(receiver) }
        let result = leaseConnection(for: receiver)
        if case .failure = result { left(receiver.skill) }
        return result
    }

    private func waitForSkill(
        _ receiver: any UpstreamReceiver
    ) -> Result<any UpstreamConnection, UpstreamUnavailable>? {
        guard skills.waiting < machine.configuration.maximumWaiters else { return .failure(.skillThrottled) }
        let now = eventLoop.now
        let isStanding = skills.joinsStandingQueue(of: receiver.skill, now: now)
        let deadline =
            now + (isStanding ? machine.configuration.standingSlotTimeout : machine.configuration.slotTimeout)
        skills.wait(Waiter(receiver: receiver, deadline: deadline), skill: receiver.skill, owner: receiver.owner)
        setWaitTimer(notLaterThan: deadline)
        return nil
    }

    /// A message of the skill is no longer in flight; one that waited for that may be.
    private func left(_ skill: Int) {
        if let waiter = skills.leave(skill) { entered(waiter) }
    }

    private func entered(_ waiter: Waiter) {
        guard let result = leaseConnection(for: waiter.receiver) else { return }
        if case .failure = result { left(waiter.receiver.skill) }
        waiter.receiver.upstreamLeased(result)
    }

    private func leaseConnection(
        for receiver: any UpstreamReceiver
    ) -> Result<any UpstreamConnection, UpstreamUnavailable>? {
        switch machine.leaseIdle().map(PoolStateMachine.LeaseAction.use) ?? leaseOrWait() {
        case .use(let id):
            guard let connection = connections[id] else { return .failure(.connectionLost) }
            connection.leased(by: receiver.skill)
            return .success(connection)
        case .refuse:
            return .failure(.noFreeConnection)
        case .wait(let deadline, let connect):
            let waiter = Waiter(
                receiver: receiver, deadline: deadline, waitsForHandshake: machine.connectingCount > 0)
            waiters.append(waiter, of: receiver.owner)
            setWaitTimer(notLaterThan: deadline)
            if let connect { open(connect) }
            return nil
        }
    }

    private func leaseOrWait() -> PoolStateMachine.LeaseAction {
        let now = eventLoop.now
        sampleRests(now: now)
        return machine.lease(now: now)
    }

    /// Finds out whether those who wait do so for the region or for this event loop.
    private func sampleRests(now: NIODeadline) {
        switch rests.sample(now: now) {
        case .tooEarly: break
        case .tooLate:
            machine.startSampling()
            eventLoop.assumeIsolated().scheduleTask(in: EventLoopRests.window) { self.openForWaiters() }
        case .rests(let count): machine.sampled(eventLoopRests: count)
        }
    }

    private func openForWaiters() {
        guard !waiters.isEmpty else { return }
        sampleRests(now: eventLoop.now)
        while !isShutDown, let connect = machine.connectForWaiters() { open(connect) }
    }

    /// Closes every connection. A message that still waits for its answer is told that the connection is lost.
    public func shutDown() {
        isShutDown = true
        for connection in connections.values { connection.fail(.connectionLost) }
        sweep?.cancel()
        sweep = nil
    }

    // MARK: Opening

    private func open(_ id: PoolStateMachine.ConnectionID) {
        let handler = UpstreamChannelHandler(
            id: id, pool: self, isSecure: endpoint.isSecure, isBehindProxy: isBehindProxy)
        connections[id] = handler
        let timeout = TimeAmount(machine.configuration.connectTimeout)
        // Covers the handshake, too; a handler that is established by then does nothing.
        eventLoop.assumeIsolated().scheduleTask(in: timeout) { handler.connectTimedOut() }
        connect(handler, timeout, { handler.connectFailed($0) })
    }

    private func probe() {
        let handler = ProbeHandler(endpoint, userAgent: Self.probeUserAgent) { [self] isAnswered in
            guard isAnswered else { return circuit.probeFailed(now: eventLoop.now) }
            if circuit.probeAnswered(now: eventLoop.now) { onCircuitChange(.closed) }
        }
        let timeout = TimeAmount(machine.configuration.connectTimeout)
        // As long again for the answer.
        eventLoop.assumeIsolated().scheduleTask(in: timeout * 2) { handler.end(isAnswered: false) }
        connect(handler, timeout, { _ in handler.end(isAnswered: false) })
    }

    // MARK: Events of connections

    func established(_ connection: UpstreamChannelHandler) {
        if sweep == nil { startSweep() }
        let action = machine.connected(connection.id, now: eventLoop.now)
        perform(action.connection, on: connection)
        if let connect = action.connect { openUnlessShutDown(connect) }
    }

    func released(_ connection: UpstreamChannelHandler, wasUsed: Bool) {
        let skill = connection.takeLease()
        perform(machine.released(connection.id, wasUsed: wasUsed, now: eventLoop.now), on: connection)
        if let skill { left(skill) }
    }

    /// The region answered a message; its connection has not been released yet.
    func answered(_ connection: UpstreamChannelHandler, status: Int) {
        circuit.answered()
        if let skill = connection.lease {
            if status == 429 {
                skills.throttled(skill, now: eventLoop.now)
            } else if skills.isWatching(skill) {
                skills.answered(skill, now: eventLoop.now)
                while let waiter = skills.nextWaiter(of: skill) { entered(waiter) }
            }
        }
        if status == 503 {
            overloaded()
        } else if limit.isWatching {
            limit.answered(inFlight: machine.leasedCount, now: eventLoop.now)
            machine.inFlightLimit = limit.current
        }
    }

    /// No answer came to a message that was sent.
    func failed(_ failure: UpstreamFailure) {
        switch failure {
        case .timeout:
            overloaded()
            regionFailed()
        case .connectionLost: regionFailed()
        case .malformedAnswer: break  // somebody is there
        }
    }

    private func overloaded() {
        limit.overloaded(inFlight: machine.leasedCount, now: eventLoop.now)
        machine.inFlightLimit = limit.current
    }

    private func regionFailed() {
        let now = eventLoop.now
        guard !isShutDown, circuit.failed(now: now) else { return }
        onCircuitChange(.open)
        if sweep == nil { startSweep() }
        // Once it closes, few messages find out whether the region takes more.
        limit.collapse(now: now)
        machine.inFlightLimit = limit.current
        // Those who wait would do so for nothing.
        machine.waitersTimedOut(waiters.count)
        let reason = UpstreamUnavailable.circuitOpen(retryAfter: circuit.retryAfter(now: now))
        let throttled = skills.removeWaiters { _ in true }
        var told = waiters
        waiters = FairQueue()
        while let waiter = told.popFirst() { tell(waiter, .failure(reason)) }
        for waiter in throttled { waiter.receiver.upstreamLeased(.failure(reason)) }
    }

    /// Serves those who wait although connections are idle, since the limit has grown.
    private func serveWaiters() {
        while let id = machine.leaseForWaiter() {
            guard let connection = connections[id] else { continue }
            tellFirstWaiter(.success(connection))
        }
    }

    private func perform(_ action: PoolStateMachine.ConnectionAction, on connection: UpstreamChannelHandler) {
        switch action {
        case .none: break
        case .handToFirstWaiter: tellFirstWaiter(.success(connection))
        case .close: connection.close()
        }
    }

    func connectFailed(_ id: PoolStateMachine.ConnectionID, _ reason: UpstreamUnavailable) {
        connections[id] = nil
        onConnectFailure(reason)
        let action = machine.connectFailed(id)
        if action.failsFirstWaiter { tellFirstWaiter(.failure(reason)) }
        regionFailed()
        if let connect = action.connect { openUnlessShutDown(connect) }
    }

    func closed(_ connection: UpstreamChannelHandler) {
        let skill = connection.takeLease()
        connections[connection.id] = nil
        if let connect = machine.closed(connection.id) { openUnlessShutDown(connect) }
        if let skill { left(skill) }
    }

    private func openUnlessShutDown(_ id: PoolStateMachine.ConnectionID) {
        if isShutDown { connectFailed(id, .connectionLost) } else { open(id) }
    }

    private func setWaitTimer(notLaterThan deadline: NIODeadline) {
        if let waitTimer, waitTimer.deadline <= deadline { return }
        waitTimer?.task.cancel()
        waitTimer = (deadline, eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { self.waitTimerFired() })
    }

    private func waitTimerFired() {
        waitTimer = nil
        let now = eventLoop.now
        let overdue = waiters.removeAll { $0.deadline <= now }
        machine.waitersTimedOut(overdue.count)
        let throttled = skills.removeWaiters { $0.deadline <= now }
        let left = [waiters.elements.lazy.map(\.deadline).min(), skills.waiters.lazy.map(\.deadline).min()]
        if let next = left.compactMap({ $0 }).min() {
            setWaitTimer(notLaterThan: max(next, now + Self.waitGranularity))
        }
        for waiter in overdue { tell(waiter, .failure(slotRanOut(waiter))) }
        for waiter in throttled { waiter.receiver.upstreamLeased(.failure(.skillThrottled)) }
    }

    /// What a message has waited for in vain: for a handshake, if it was given the time of one.
    private func slotRanOut(_ waiter: Waiter) -> UpstreamUnavailable {
        waiter.waitsForHandshake && machine.leasedCount == 0 ? .connectTimeout : .noFreeConnection
    }

    private func tellFirstWaiter(_ result: Result<any UpstreamConnection, UpstreamUnavailable>) {
        guard let waiter = waiters.popFirst() else { return }
        if case .success(let connection) = result {
            (connection as? UpstreamChannelHandler)?.leased(by: waiter.receiver.skill)
        }
        tell(waiter, result)
    }

    private func tell(_ waiter: Waiter, _ result: Result<any UpstreamConnection, UpstreamUnavailable>) {
        if case .failure = result { left(waiter.receiver.skill) }
        waiter.receiver.upstreamLeased(result)
    }

    // MARK: Time

    private func startSweep() {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        sweep = eventLoop.scheduleRepeatedTask(initialDelay: Self.sweepInterval, delay: Self.sweepInterval) { _ in
            bound.value.closeOverdue()
        }
    }

    private func closeOverdue() {
        let now = eventLoop.now
        // All of them first: closing one may open another in the place of the next.
        let worn = machine.closeWorn(now: now).compactMap { connections[$0] }
        for connection in worn { connection.close() }
        for connection in connections.values { connection.checkDeadline(now: now) }
        serveWaiters()
        openForWaiters()
        switch circuit.timePassed(now: now) {
        case .probe: probe()
        case .close: onCircuitChange(.closed)
        case nil: break
        }
        if connections.isEmpty && circuit.isClosed {
            sweep?.cancel()
            sweep = nil
        }
    }
}
