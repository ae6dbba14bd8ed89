import GatewayCore
import NIOCore

/// The limits and timeouts of one region.
package struct RegionConfiguration: Equatable, Sendable {
    package var pool = PoolStateMachine.Configuration()
    package var circuit = CircuitBreaker.Configuration()
    package var limit = InFlightLimit.Configuration()
    package var http2 = HTTP2Use()

    package init() {}
}

/// The state of one region on one event loop: its connections, the messages that wait for them, the circuit and the limits.
///
/// Pure: time is passed in, and connections are identified by number only. Decisions are appended to `actions`;
/// `RegionalPool` performs them in order.
struct RegionState {
    typealias ConnectionID = PoolStateMachine.ConnectionID

    enum Lease {
        case connection(ConnectionID)
        case unavailable(UpstreamUnavailable)
        /// The receiver is called later.
        case waits
    }

    enum Action {
        case open(ConnectionID)
        case close(ConnectionID)
        case give(ConnectionID, to: any UpstreamReceiver)
        case refuse(any UpstreamReceiver, UpstreamUnavailable)
        /// The message was held back by its skill's limit, and may lease a connection now.
        case leaseConnection(any UpstreamReceiver)
        case probe
        case report(CircuitState)
    }

    private struct Waiter {
        var receiver: any UpstreamReceiver
        var deadline: NIODeadline
        /// Its deadline allows for a handshake.
        var waitsForHandshake = false
        /// A connection failed while it waited, and it waits for one more.
        var hasSeenFailure = false
    }

    /// The shortest interval between two searches for waiters that have timed out.
    private static let waitGranularity = TimeAmount.milliseconds(1)
    /// After one of those connections could not be opened.
    private static let pauseBetweenSpares = TimeAmount.seconds(2)

    /// Pending actions, in order; the performer removes them.
    var actions = ActionQueue<Action>()
    /// When the next waiter may time out. One timer for all, since nearly every message is served long before.
    private(set) var nextTimeout: NIODeadline?
    private let configuration: PoolStateMachine.Configuration
    private var connections: PoolStateMachine
    private var circuit: CircuitBreaker
    private var limit: InFlightLimit
    /// A message above its skill's limit waits for that limit before it waits for a connection.
    private var skills: SkillLimits<Waiter>
    private var waiters = FairQueue<Waiter>()
    /// By connection that is being opened: its number.
    private var begun = SlotMap<Int>()
    private var nextBegun = 0
    /// Connections that were begun before this one fail for a reason that is known.
    private var firstNews = 0
    /// The connection that is being opened so that messages do not depend on a single one. Nobody waits for it.
    private var spare: ConnectionID?
    private var nextSpare = NIODeadline.uptimeNanoseconds(0)
    private var established: [HTTPVersion: Int] = [:]
    private var version: HTTPVersion?
    /// The last connection failed, and nobody was refused for it.
    private var hasSparedFailure = false
    private(set) var isShutDown = false

    init(_ configuration: RegionConfiguration) {
        self.configuration = configuration.pool
        connections = PoolStateMachine(configuration.pool)
        circuit = CircuitBreaker(configuration.circuit)
        let maximum = configuration.pool.maximumConnections
        limit = InFlightLimit(maximum: maximum, configuration.limit)
        skills = SkillLimits(
            maximum: maximum, configuration.limit, standing: TimeAmount(configuration.pool.slotTimeout))
    }

    /// For metrics.
    var status: UpstreamStatus {
        var status = UpstreamStatus()
        status.connections = UpstreamConnectionCounts(
            idle: connections.idleCount, leased: connections.busyCount, connecting: connections.connectingCount)
        status.established = established
        status.version = version
        status.inFlight = connections.leasedCount
        status.circuit = circuit.state
        status.inFlightLimit = limit.current
        status.inFlightMaximum = configuration.maximumConnections
        status.skillLimits = skills.reducedLimits
        return status
    }

    /// Whether time brings something about, without a message that is sent.
    var needsSweep: Bool {
        !isShutDown && (connections.idleCount + connections.leasedCount > 0 || !circuit.isClosed)
    }
    var hasWaiters: Bool { !waiters.isEmpty }

    // MARK: Lease

    /// An idle connection, or why none can be had; nil if the message must go on to `leaseOrWait`.
    ///
    /// - Parameter now: a clock, read only if necessary.
    mutating func leaseIdle(for receiver: any UpstreamReceiver, now: () -> NIODeadline) -> Lease? {
        guard !isShutDown else { return .unavailable(.connectionLost) }
        guard circuit.isClosed else { return .unavailable(.circuitOpen(retryAfter: circuit.retryAfter(now: now()))) }
        guard skills.enter(receiver.skill) else { return waitForSkill(receiver, now: now()) }
        return connections.leaseIdle().map { .connection($0) }
    }

    /// For a message that has waited for others of its skill; the region may have failed since its turn came.
    mutating func leaseAfterSkill(for receiver: any UpstreamReceiver, now: NIODeadline) -> Lease {
        guard !isShutDown, circuit.isClosed else {
            left(receiver.skill)
            let reason = UpstreamUnavailable.circuitOpen(retryAfter: circuit.retryAfter(now: now))
            return .unavailable(isShutDown ? .connectionLost : reason)
        }
        return leaseOrWait(for: receiver, now: now)
    }

    /// For a message that `leaseIdle` had nothing for.
    mutating func leaseOrWait(for receiver: any UpstreamReceiver, now: NIODeadline) -> Lease {
        switch connections.lease(now: now) {
        case .use(let id): return .connection(id)
        case .refuse:
            left(receiver.skill)
            return .unavailable(.noFreeConnection)
        case .wait(let slotDeadline, let connect):
            let deadline = min(slotDeadline, receiver.deadline)
            let waitsForHandshake = connections.connectingCount > 0
            waiters.append(
                Waiter(receiver: receiver, deadline: deadline, waitsForHandshake: waitsForHandshake),
                of: receiver.owner)
            timeout(notLaterThan: deadline)
            open(connect)
            return .waits
        }
    }

    private mutating func waitForSkill(_ receiver: any UpstreamReceiver, now: NIODeadline) -> Lease {
        guard skills.waiting < configuration.maximumWaiters else { return .unavailable(.skillThrottled) }
        let isStanding = skills.joinsStandingQueue(of: receiver.skill, now: now)
        let slotTimeout = isStanding ? configuration.standingSlotTimeout : configuration.slotTimeout
        let deadline = min(now + slotTimeout, receiver.deadline)
        skills.wait(Waiter(receiver: receiver, deadline: deadline), skill: receiver.skill, owner: receiver.owner)
        timeout(notLaterThan: deadline)
        return .waits
    }

    /// A message of the skill is no longer in flight, so a waiting one may take its slot. Said of each lease: by `released`, or here if
    /// the connection is gone.
    mutating func left(_ skill: Int) {
        if let waiter = skills.leave(skill) { actions.append(.leaseConnection(waiter.receiver)) }
    }

    // MARK: Connections

    /// - Parameter streams: as many messages at once; nil for a connection that carries one at a time.
    mutating func established(_ id: ConnectionID, streams: Int? = nil, now: NIODeadline) {
        _ = begun.removeValue(forKey: id)
        if spare == id { spare = nil }
        // One with streams may still turn out to take no message.
        if streams == nil { hasSparedFailure = false }
        let version = streams == nil ? HTTPVersion.http1 : .http2
        established[version, default: 0] += 1
        self.version = version
        let action = connections.connected(id, streams: streams, now: now)
        follow(action.connection, id)
        if streams != nil { giveToWaiters() }
        open(action.connect)
    }

    /// - Parameter wasUsed: false for a connection that is given back without having carried a message.
    mutating func released(_ id: ConnectionID, skill: Int, wasUsed: Bool, now: NIODeadline) {
        let action = connections.released(id, wasUsed: wasUsed, now: now)
        follow(action, id)
        // It may be another connection that has room for who waits.
        if action != .handToFirstWaiter { giveToWaiters() }
        left(skill)
    }

    /// The peer takes more or fewer messages at once on a connection than before.
    mutating func changed(_ id: ConnectionID, streams: Int) {
        connections.changed(id, streams: streams)
        giveToWaiters()
    }

    /// The peer takes no more messages on a connection.
    ///
    /// - Parameter isUnused: nothing was sent on it.
    mutating func drains(_ id: ConnectionID, isUnused: Bool, now: NIODeadline) {
        let isUseless = isUnused && connections.isNew(id, now: now)
        follow(connections.drains(id, now: now), id)
        giveToWaiters()
        if isUseless { endedUseless(now: now) }
        open(connections.connectForWaiters())
    }

    /// A region that takes connections and no messages on them has failed as one that takes no connections.
    private mutating func endedUseless(now: NIODeadline) {
        let isSpared = waiters.first?.hasSeenFailure != true
        if isSpared {
            spareWaiters(now: now)
        } else if let waiter = waiters.popFirst() {
            connections.waitersTimedOut(1)
            refuse(waiter, .connectionLost)
        }
        failedToConnect(isSpared: isSpared, now: now)
    }

    /// Those who wait go on waiting while there is another address, and for one more connection to the same; then, one of them is
    /// refused for each connection that fails.
    ///
    /// - Parameter hasOtherAddress: there is an address where no handshake failed lately, so the region has not failed yet.
    mutating func connectFailed(
        _ id: ConnectionID, _ reason: UpstreamUnavailable, hasOtherAddress: Bool, now: NIODeadline
    ) {
        // Connections that were begun before the last failure fail for the same reason, and say nothing new.
        let isUnneeded = spare == id && waiters.isEmpty
        if spare == id {
            spare = nil
            nextSpare = now + Self.pauseBetweenSpares
        }
        let isNews = (begun.removeValue(forKey: id) ?? 0) >= firstNews && !isUnneeded
        let isSpared = hasOtherAddress || waiters.first?.hasSeenFailure == false
        let action = connections.connectFailed(id, failsFirstWaiter: isNews && !isSpared)
        if action.failsFirstWaiter, let waiter = waiters.popFirst() { refuse(waiter, reason) }
        if isNews {
            if isSpared { spareWaiters(now: now) }
            if !hasOtherAddress { failedToConnect(isSpared: isSpared, now: now) }
        }
        open(action.connect)
    }

    private mutating func spareWaiters(now: NIODeadline) {
        firstNews = nextBegun
        let deadline = now + configuration.handshakeTimeout
        waiters.updateAll { waiter in
            waiter.hasSeenFailure = true
            if waiter.waitsForHandshake {
                waiter.deadline = max(waiter.deadline, min(deadline, waiter.receiver.deadline))
            }
        }
    }

    /// Of two failures in a row, of which the first was spared to those who waited, one counts.
    private mutating func failedToConnect(isSpared: Bool, now: NIODeadline) {
        let counts = !isSpared || hasSparedFailure
        hasSparedFailure = isSpared && !hasSparedFailure
        if counts { regionFailed(now: now) }
    }

    /// - Parameter isUnused: nothing was sent on it, though there was room for many messages.
    mutating func closed(_ id: ConnectionID, isUnused: Bool, now: NIODeadline) {
        _ = begun.removeValue(forKey: id)
        let isUseless = isUnused && !isShutDown && connections.isNew(id, now: now)
        let connect = connections.closed(id)
        giveToWaiters()
        if isUseless { endedUseless(now: now) }
        open(connect)
    }

    private mutating func follow(_ action: PoolStateMachine.ConnectionAction, _ id: ConnectionID) {
        switch action {
        case .none: break
        case .handToFirstWaiter: giveToFirstWaiter(id)
        case .close: actions.append(.close(id))
        }
    }

    private mutating func giveToFirstWaiter(_ id: ConnectionID) {
        guard let waiter = waiters.popFirst() else { return }
        actions.append(.give(id, to: waiter.receiver))
    }

    private mutating func giveToWaiters() {
        while let id = connections.leaseForWaiter() { giveToFirstWaiter(id) }
    }

    private mutating func open(_ id: ConnectionID?) {
        guard let id else { return }
        begun[id] = nextBegun
        nextBegun += 1
        actions.append(.open(id))
    }

    private mutating func refuse(_ waiter: Waiter, _ reason: UpstreamUnavailable) {
        actions.append(.refuse(waiter.receiver, reason))
        left(waiter.receiver.skill)
    }

    // MARK: Responses

    /// The region responded to a message of the skill; its connection has not been released yet.
    mutating func responded(skill: Int, status: Int, now: () -> NIODeadline) {
        circuit.answered()
        hasSparedFailure = false
        if status == 429 {
            skills.throttled(skill, now: now())
        } else if skills.isWatching(skill) {
            skills.answered(skill, now: now())
            while let waiter = skills.nextWaiter(of: skill) { actions.append(.leaseConnection(waiter.receiver)) }
        }
        if status == 503 {
            overloaded(now: now())
        } else if limit.isWatching {
            limit.answered(inFlight: connections.leasedCount, now: now())
            connections.inFlightLimit = limit.current
        }
    }

    /// No response came to a message that was sent.
    mutating func failed(_ failure: UpstreamFailure, now: NIODeadline) {
        switch failure {
        case .timeout:
            overloaded(now: now)
            regionFailed(now: now)
        case .connectionLost: regionFailed(now: now)
        case .malformedAnswer, .notProcessed: break  // the region does respond
        }
    }

    private mutating func overloaded(now: NIODeadline) {
        limit.overloaded(inFlight: connections.leasedCount, now: now)
        connections.inFlightLimit = limit.current
    }

    private mutating func regionFailed(now: NIODeadline) {
        guard !isShutDown, circuit.failed(now: now) else { return }
        actions.append(.report(.open))
        // Once the circuit closes, a few messages test whether the region takes more.
        limit.collapse(now: now)
        connections.inFlightLimit = limit.current
        // Waiting is useless while the circuit is open.
        let reason = UpstreamUnavailable.circuitOpen(retryAfter: circuit.retryAfter(now: now))
        let throttled = skills.removeWaiters { _ in true }
        connections.waitersTimedOut(waiters.count)
        while let waiter = waiters.popFirst() { refuse(waiter, reason) }
        for waiter in throttled { actions.append(.refuse(waiter.receiver, reason)) }
    }

    mutating func probeEnded(isAnswered: Bool, now: NIODeadline) {
        guard isAnswered else { return circuit.probeFailed(now: now) }
        if circuit.probeAnswered(now: now) { actions.append(.report(.closed)) }
    }

    // MARK: Time

    /// Takes a sample that shows whether the region or this event loop is the bottleneck.
    mutating func sampled(_ sample: EventLoopIdleCounter.Sample) {
        switch sample {
        case .tooEarly: break
        case .tooLate: connections.startSampling()
        case .rests(let count): connections.sampled(eventLoopRests: count)
        }
    }

    mutating func openForWaiters() {
        while !isShutDown, let id = connections.connectForWaiters() { open(id) }
    }

    mutating func timeoutPassed(now: NIODeadline) {
        nextTimeout = nil
        let overdue = waiters.removeAll { $0.deadline <= now }
        connections.waitersTimedOut(overdue.count)
        let throttled = skills.removeWaiters { $0.deadline <= now }
        let next = [waiters.elements.lazy.map(\.deadline).min(), skills.waiters.lazy.map(\.deadline).min()]
        if let next = next.compactMap({ $0 }).min() { timeout(notLaterThan: max(next, now + Self.waitGranularity)) }
        for waiter in overdue { refuse(waiter, slotRanOut(waiter)) }
        for waiter in throttled { actions.append(.refuse(waiter.receiver, .skillThrottled)) }
    }

    /// Why a waiter timed out: no handshake completed, or no connection became free.
    private func slotRanOut(_ waiter: Waiter) -> UpstreamUnavailable {
        waiter.waitsForHandshake && connections.leasedCount == 0 ? .connectTimeout : .noFreeConnection
    }

    private mutating func timeout(notLaterThan deadline: NIODeadline) {
        nextTimeout = min(nextTimeout ?? deadline, deadline)
    }

    /// Removes the idle connections that have expired, and returns them for the caller to close.
    mutating func closeExpired(now: NIODeadline) -> [ConnectionID] { connections.closeExpired(now: now) }

    /// Periodic work other than closing expired connections.
    mutating func timePassed(now: NIODeadline) {
        // After the in-flight limit has grown, connections may be idle while messages wait.
        giveToWaiters()
        if now >= nextSpare, !isShutDown, let id = connections.connectForSafety() {
            spare = id
            open(id)
        }
        switch circuit.timePassed(now: now) {
        case .probe: actions.append(.probe)
        case .close: actions.append(.report(.closed))
        case nil: break
        }
    }

    /// Nothing is leased or opened from now on.
    mutating func shutDown() { isShutDown = true }
}
