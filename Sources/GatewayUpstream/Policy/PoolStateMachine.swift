import GatewayCore
import NIOCore

/// Which connection carries the next message, when to open one and when to close one. Pure: time is passed in,
/// connections are known by number only, and those who wait for one by how many they are: whoever runs this keeps them
/// in the order in which they came.
package struct PoolStateMachine: Sendable {
    package struct Configuration: Equatable, Sendable {
        package var maximumConnections = 256
        /// Handshakes under way at once: a burst on a cold pool waits for the first connections instead of opening
        /// one for each message.
        var maximumConnecting = 32
        /// How long a message waits while all connections are busy.
        var slotTimeout = Duration.milliseconds(250)
        /// How long once some message has waited all the time for `slotTimeout`: waiting longer would make all of them
        /// late, and no more of them would be sent.
        var standingSlotTimeout = Duration.milliseconds(25)
        package var connectTimeout = Duration.seconds(2)
        /// Below the idle limit of Amazon's front, so that ours is the side that closes.
        package var idleTimeout = Duration.seconds(30)
        var maximumUses = 9_000
        var maximumAge = Duration.seconds(600)
        /// Messages that wait for a connection, at most.
        var maximumWaiters = 4_096
        /// As many connections are opened as soon as messages wait; more if it is the region that they wait for.
        var connectionsOpenedAtOnce = 32

        /// How long a message waits for a handshake: a little longer than the handshake may take, since its failure
        /// decides whether there is another.
        var handshakeTimeout: Duration { connectTimeout + .milliseconds(100) }

        package init() {}
    }

    typealias ConnectionID = Int

    enum LeaseAction: Equatable {
        case use(ConnectionID)
        case wait(until: NIODeadline, connect: ConnectionID?)
        case refuse
    }

    enum ConnectionAction: Equatable {
        case none
        case handToFirstWaiter
        case close
    }

    struct ConnectedAction: Equatable {
        var connection: ConnectionAction
        /// The connection to open for those who still wait: its handshake was held back by this one.
        var connect: ConnectionID?
    }

    struct FailureAction: Equatable {
        /// The first waiter is told that none came; false if nobody waits.
        var failsFirstWaiter: Bool
        /// The connection to open for those who remain.
        var connect: ConnectionID?
    }

    private enum Connection: Equatable {
        /// Can transition to: idle, leased, gone.
        case connecting
        /// Can transition to: leased, gone.
        case idle(since: NIODeadline, Usage)
        /// Can transition to: idle, gone.
        case leased(Usage)
    }

    /// What messages wait for.
    private enum Bottleneck {
        case unknown
        /// It never rests, so more connections would carry no more messages.
        case eventLoop
        case region
    }

    private struct Usage: Equatable {
        var established: NIODeadline
        var uses = 0
    }

    let configuration: Configuration
    private let idleTimeout: TimeAmount
    private let maximumAge: TimeAmount
    private var connections = SlotMap<Connection>()
    private var identifiers = SlotIdentifiers()
    /// Newest last. Taking the newest lets the others grow old and close.
    private var idle: [ConnectionID] = []
    private var connecting = 0
    private var waiting = 0
    private var queue: StandingQueue
    /// Connections that were given back since the last sample.
    private var releases = 0
    private var bottleneck = Bottleneck.unknown
    /// As many connections may carry messages at once; others stay idle.
    var inFlightLimit = Int.max

    init(_ configuration: Configuration) {
        self.configuration = configuration
        idleTimeout = TimeAmount(configuration.idleTimeout)
        maximumAge = TimeAmount(configuration.maximumAge)
        queue = StandingQueue(after: TimeAmount(configuration.slotTimeout))
    }

    var idleCount: Int { idle.count }
    var connectingCount: Int { connecting }
    var leasedCount: Int { connections.count - idle.count - connecting }
    var isEmpty: Bool { connections.isEmpty }

    /// The connection that was used last of those that are free; nil if none is.
    mutating func leaseIdle() -> ConnectionID? {
        guard leasedCount < inFlightLimit, let id = idle.popLast(), case .idle(_, let usage) = connections[id] else {
            return nil
        }
        connections[id] = .leased(usage)
        return id
    }

    mutating func lease(now: NIODeadline) -> LeaseAction {
        if let id = leaseIdle() { return .use(id) }
        guard waiting < configuration.maximumWaiters else { return .refuse }
        let isStanding = queue.joined(behind: waiting, now: now)
        waiting += 1
        let connect = connectIfNeeded()
        return .wait(until: now + waitingTime(isStanding: isStanding), connect: connect)
    }

    private func waitingTime(isStanding: Bool) -> Duration {
        // A busy event loop serves all of them in a short time, and refusing them would keep it busy, too; and a pool that
        // still grows has more to offer soon.
        let isFull = connections.count >= min(configuration.maximumConnections, inFlightLimit)
        if isStanding && isFull && bottleneck == .region && leasedCount > connecting {
            return configuration.standingSlotTimeout
        }
        return connecting > 0 ? configuration.handshakeTimeout : configuration.slotTimeout
    }

    /// Tells how often the event loop has rested, for want of anything to do, since the last sample.
    ///
    /// If all connections came free between two rests, more of them would carry no more messages, and opening them,
    /// each with a handshake, would make the loop send fewer. Where answers take their time, few come free between two
    /// rests, and in any time few of many.
    mutating func sampled(eventLoopRests: Int) {
        let allOfThem = leasedCount.multipliedReportingOverflow(by: max(1, eventLoopRests))
        let allCameFree = leasedCount > 0 && !allOfThem.overflow && releases >= allOfThem.partialValue
        bottleneck = allCameFree ? .eventLoop : .region
        releases = 0
    }

    /// The last sample is too old to say anything.
    mutating func startSampling() {
        bottleneck = .unknown
        releases = 0
    }

    /// The idle connection for the first of those who wait; nil if nobody waits, or none may be used.
    mutating func leaseForWaiter() -> ConnectionID? {
        guard waiting > 0, let id = leaseIdle() else { return nil }
        waiting -= 1
        return id
    }

    /// The connection to open for those who wait, if one more would help them.
    mutating func connectForWaiters() -> ConnectionID? {
        connectIfNeeded()
    }

    /// The time of so many waiters is up.
    mutating func waitersTimedOut(_ count: Int) {
        waiting -= count
    }

    mutating func connected(_ id: ConnectionID, now: NIODeadline) -> ConnectedAction {
        guard connections[id] == .connecting else { return ConnectedAction(connection: .close) }
        connecting -= 1
        let action = makeFree(id, Usage(established: now), now: now)
        return ConnectedAction(connection: action, connect: connectIfNeeded())
    }

    /// - Parameter failsFirstWaiter: false if the first of those who wait goes on waiting, for another connection.
    mutating func connectFailed(_ id: ConnectionID, failsFirstWaiter: Bool = true) -> FailureAction {
        if remove(id) == .connecting { connecting -= 1 }
        let failsFirstWaiter = failsFirstWaiter && takeWaiter()
        return FailureAction(failsFirstWaiter: failsFirstWaiter, connect: connectIfNeeded())
    }

    /// A leased connection has done its work, or was not needed (`wasUsed` false).
    mutating func released(_ id: ConnectionID, wasUsed: Bool, now: NIODeadline) -> ConnectionAction {
        guard case .leased(var usage) = connections[id] else { return .close }
        if wasUsed { usage.uses += 1 }
        releases += 1
        let isExpired =
            usage.uses >= configuration.maximumUses
            || now - usage.established >= maximumAge
        guard !isExpired else { return .close }
        return makeFree(id, usage, now: now)
    }

    /// A connection is gone, for whatever reason. Returns the one to open in its place for those who wait.
    mutating func closed(_ id: ConnectionID) -> ConnectionID? {
        switch remove(id) {
        case .idle: idle.removeAll { $0 == id }
        case .connecting: connecting -= 1
        case .leased, nil: break
        }
        return connectIfNeeded()
    }

    /// The idle connections whose time is up. They count as gone.
    mutating func closeExpired(now: NIODeadline) -> [ConnectionID] {
        var worn: [ConnectionID] = []
        idle.removeAll { id in
            guard case .idle(let since, let usage) = connections[id] else { return true }
            guard
                now - since >= idleTimeout || now - usage.established >= maximumAge
            else { return false }
            worn.append(id)
            return true
        }
        for id in worn { _ = remove(id) }
        return worn
    }

    private mutating func makeFree(_ id: ConnectionID, _ usage: Usage, now: NIODeadline) -> ConnectionAction {
        // Counted as leased or as connecting no more, and not yet as idle.
        connections[id] = .leased(usage)
        if leasedCount <= inFlightLimit, takeWaiter() { return .handToFirstWaiter }
        connections[id] = .idle(since: now, usage)
        idle.append(id)
        return .none
    }

    /// False if nobody waits.
    private mutating func takeWaiter() -> Bool {
        guard waiting > 0 else { return false }
        waiting -= 1
        return true
    }

    private mutating func connectIfNeeded() -> ConnectionID? {
        guard waiting > connecting, connecting < configuration.maximumConnecting,
            connections.count < configuration.maximumConnections,
            connections.count < inFlightLimit,
            bottleneck == .region || connections.count < configuration.connectionsOpenedAtOnce
        else { return nil }
        return startConnecting()
    }

    private mutating func startConnecting() -> ConnectionID {
        let id = identifiers.take()
        connections[id] = .connecting
        connecting += 1
        return id
    }

    private mutating func remove(_ id: ConnectionID) -> Connection? {
        let connection = connections.removeValue(forKey: id)
        if connection != nil { identifiers.release(id) }
        return connection
    }
}
