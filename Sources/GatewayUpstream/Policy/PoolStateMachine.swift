import GatewayCore
import NIOCore

/// Which connection carries the next message, when to open one and when to close one. Pure: time is passed in,
/// connections are known by number only, and those who wait for one by how many they are: whoever runs this keeps them
/// in the order in which they came.
///
/// A connection has room for one message (HTTP/1.1) or for several at once, each in a stream of its own (HTTP/2).
package struct PoolStateMachine: Sendable {
    package struct Configuration: Equatable, Sendable {
        /// Messages in flight at once, and so connections that have room for one each.
        package var maximumConnections = 256
        /// Handshakes under way at once: a burst on a cold pool waits for the first connections instead of opening
        /// one for each message.
        var maximumConnecting = 32
        /// The same while it is not known whether a connection has room for one message or for many.
        var maximumConnectingBlindly = 2
        /// HTTP/2 is offered, and the peer decides.
        package var mayHaveStreams = false
        /// How long a message waits while all connections are busy.
        var slotTimeout = Duration.milliseconds(250)
        /// How long once some message has waited all the time for `slotTimeout`: waiting longer would make all of them
        /// late, and no more of them would be sent.
        var standingSlotTimeout = Duration.milliseconds(25)
        package var connectTimeout = Duration.seconds(2)
        /// Below the idle limit of Amazon's front, so that ours is the side that closes.
        package var idleTimeout = Duration.seconds(30)
        /// Of a connection whose peer takes no message on it.
        var uselessTimeout = Duration.seconds(1)
        /// Of a connection that carries one message at a time. One with streams is told by its peer when it has had enough.
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
        /// Can transition to: established, gone.
        case connecting
        /// Can transition to: gone.
        case established(Usage)
    }

    /// What messages wait for.
    private enum Bottleneck {
        case unknown
        /// It never rests, so more connections would carry no more messages.
        case eventLoop
        case region
    }

    private struct Usage: Equatable {
        let established: NIODeadline
        /// Carries several messages at once.
        let hasStreams: Bool
        /// As many messages at once; 0 while it takes no more.
        var room: Int
        var leases = 0
        var uses = 0
        /// Closed when its last message is done.
        var isDraining = false
        /// Since when there has been no message on it.
        var idleSince: NIODeadline

        /// Others are used from here on, as long as they have less to carry: if it is lost, half of what it can carry is in doubt.
        var share: Int { max(1, room / 2) }
    }

    let configuration: Configuration
    private let idleTimeout: TimeAmount
    private let uselessTimeout: TimeAmount
    private let maximumAge: TimeAmount
    private var connections = SlotMap<Connection>()
    private var identifiers = SlotIdentifiers()
    /// Those with less than their share to carry, newest last. Taking the newest lets the others grow old and close.
    private var light: [ConnectionID] = []
    /// Those with their share to carry, and room for more.
    private var heavy: [ConnectionID] = []
    private var connecting = 0
    private var leases = 0
    /// Established connections with no message.
    private var idle = 0
    /// Of all established connections together.
    private var room = 0
    /// What the last connection that was established had room for, so that the next is expected to have it; nil before the first.
    private var expectedRoom: Int?
    private var waiting = 0
    private var queue: StandingQueue
    /// Leases that were given back since the last sample.
    private var releases = 0
    private var bottleneck = Bottleneck.unknown
    /// As many messages may be in flight at once; what else there is room for stays free.
    var inFlightLimit: Int

    init(_ configuration: Configuration) {
        self.configuration = configuration
        idleTimeout = TimeAmount(configuration.idleTimeout)
        uselessTimeout = TimeAmount(configuration.uselessTimeout)
        maximumAge = TimeAmount(configuration.maximumAge)
        queue = StandingQueue(after: TimeAmount(configuration.slotTimeout))
        inFlightLimit = configuration.maximumConnections
    }

    var idleCount: Int { idle }
    var connectingCount: Int { connecting }
    /// Connections that carry messages.
    var busyCount: Int { connections.count - connecting - idle }
    /// Messages that have a connection.
    var leasedCount: Int { leases }
    var isEmpty: Bool { connections.isEmpty }

    // MARK: Lease

    /// The connection that was used last of those that have room; nil if none has.
    mutating func leaseIdle() -> ConnectionID? {
        guard leases < inFlightLimit, let id = light.last ?? heavy.last,
            case .established(var usage) = connections[id]
        else { return nil }
        lease(id, &usage)
        return id
    }

    /// - Parameter id: the last of `light` or, if that is empty, of `heavy`.
    private mutating func lease(_ id: ConnectionID, _ usage: inout Usage) {
        if usage.leases == 0 { idle -= 1 }
        usage.leases += 1
        leases += 1
        connections[id] = .established(usage)
        if light.isEmpty {
            if usage.leases >= usage.room { heavy.removeLast() }
        } else if usage.leases >= usage.share {
            light.removeLast()
            if usage.leases < usage.room { heavy.append(id) }
        }
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
        let isFull = roomToCome >= min(configuration.maximumConnections, inFlightLimit)
        if isStanding && isFull && bottleneck == .region && leases > connecting {
            return configuration.standingSlotTimeout
        }
        return connecting > 0 ? configuration.handshakeTimeout : configuration.slotTimeout
    }

    /// Tells how often the event loop has rested, for want of anything to do, since the last sample.
    ///
    /// If all leases came back between two rests, more of them would carry no more messages, and opening connections,
    /// each with a handshake, would make the loop send fewer. Where answers take their time, few come back between two
    /// rests, and in any time few of many.
    mutating func sampled(eventLoopRests: Int) {
        let allOfThem = leases.multipliedReportingOverflow(by: max(1, eventLoopRests))
        let allCameFree = leases > 0 && !allOfThem.overflow && releases >= allOfThem.partialValue
        bottleneck = allCameFree ? .eventLoop : .region
        releases = 0
    }

    /// The last sample is too old to say anything.
    mutating func startSampling() {
        bottleneck = .unknown
        releases = 0
    }

    /// A connection with room for the first of those who wait; nil if nobody waits, or none may be used.
    mutating func leaseForWaiter() -> ConnectionID? {
        guard waiting > 0, let id = leaseIdle() else { return nil }
        waiting -= 1
        return id
    }

    /// The time of so many waiters is up.
    mutating func waitersTimedOut(_ count: Int) {
        waiting -= count
    }

    /// A leased connection has done its work for one message, or was not needed (`wasUsed` false).
    mutating func released(_ id: ConnectionID, wasUsed: Bool, now: NIODeadline) -> ConnectionAction {
        guard case .established(var usage) = connections[id], usage.leases > 0 else { return .close }
        if wasUsed { usage.uses += 1 }
        releases += 1
        let isWorn = !usage.hasStreams && usage.uses >= configuration.maximumUses
        if isWorn || now - usage.established >= maximumAge { usage.isDraining = true }
        return giveBack(id, usage, now: now)
    }

    private mutating func giveBack(_ id: ConnectionID, _ usage: Usage, now: NIODeadline) -> ConnectionAction {
        var usage = usage
        let wasFull = usage.leases >= usage.room
        let hadItsShare = usage.leases >= usage.share
        usage.leases -= 1
        leases -= 1
        if usage.isDraining { return drain(id, usage, now: now) }
        // Counted no more, and not yet free.
        if leases < inFlightLimit, usage.leases < usage.room, takeWaiter() {
            usage.leases += 1
            leases += 1
            connections[id] = .established(usage)
            return .handToFirstWaiter
        }
        if usage.leases == 0 {
            usage.idleSince = now
            idle += 1
        }
        connections[id] = .established(usage)
        guard usage.room > 0 else { return .none }
        if usage.leases < usage.share {
            if hadItsShare {
                if !wasFull { heavy.removeAll { $0 == id } }
                light.append(id)
            }
        } else if wasFull && usage.leases < usage.room {
            heavy.append(id)
        }
        return .none
    }

    /// The periodic search for idle connections whose time is up. They count as gone.
    mutating func closeExpired(now: NIODeadline) -> [ConnectionID] {
        guard idle > 0 else { return [] }
        let worn = connections.identifiers { connection in
            guard case .established(let usage) = connection, usage.leases == 0 else { return false }
            let timeout = usage.room == 0 ? uselessTimeout : idleTimeout
            return now - usage.idleSince >= timeout || now - usage.established >= maximumAge
        }
        guard !worn.isEmpty else { return [] }
        for id in worn { _ = remove(id) }
        light.removeAll { connections[$0] == nil }
        return worn
    }

    /// Whether it might still have been connecting by now.
    func isNew(_ id: ConnectionID, now: NIODeadline) -> Bool {
        guard case .established(let usage) = connections[id] else { return false }
        return now - usage.established < TimeAmount(configuration.connectTimeout)
    }

    // MARK: Connections

    /// The connection to open for those who wait, if one more would help them.
    mutating func connectForWaiters() -> ConnectionID? {
        connectIfNeeded()
    }

    /// The connection to open because all messages depend on a single one, and it has its share of them.
    mutating func connectForSafety() -> ConnectionID? {
        guard connecting == 0, let expectedRoom, expectedRoom > 1,
            room + expectedRoom <= configuration.maximumConnections
        else { return nil }
        var alone: Usage?
        for case .established(let usage) in connections.values where usage.room > 0 {
            guard alone == nil else { return nil }
            alone = usage
        }
        guard let alone, alone.leases >= alone.share else { return nil }
        return startConnecting()
    }

    /// - Parameter streams: as many messages at once; nil for a connection that carries one at a time.
    mutating func connected(_ id: ConnectionID, streams: Int? = nil, now: NIODeadline) -> ConnectedAction {
        guard connections[id] == .connecting else { return ConnectedAction(connection: .close) }
        connecting -= 1
        let room = streams ?? 1
        expectedRoom = max(1, room)
        self.room += room
        // Leased for a moment, so that it is given back as any other.
        leases += 1
        let usage = Usage(
            established: now, hasStreams: streams != nil, room: room, leases: 1, idleSince: now)
        connections[id] = .established(usage)
        place(id, usage)
        let action = giveBack(id, usage, now: now)
        return ConnectedAction(connection: action, connect: connectIfNeeded())
    }

    /// The peer takes more or fewer messages at once than before; or none, as long as it does not show that it is there.
    mutating func changed(_ id: ConnectionID, streams: Int) {
        guard case .established(var usage) = connections[id], !usage.isDraining, usage.room != streams else { return }
        room += streams - usage.room
        usage.room = streams
        if streams > 0 { expectedRoom = streams }
        connections[id] = .established(usage)
        place(id, usage)
    }

    /// The peer takes no more messages on this connection. It is closed once those that it has are done.
    mutating func drains(_ id: ConnectionID, now: NIODeadline) -> ConnectionAction {
        guard case .established(let usage) = connections[id], !usage.isDraining else { return .none }
        return drain(id, usage, now: now)
    }

    private mutating func drain(_ id: ConnectionID, _ usage: Usage, now: NIODeadline) -> ConnectionAction {
        var usage = usage
        let before = connections[id]
        if case .established(let known)? = before, known.leases > 0, usage.leases == 0 { idle += 1 }
        usage.isDraining = true
        room -= usage.room
        usage.room = 0
        usage.idleSince = now
        connections[id] = .established(usage)
        place(id, usage)
        return usage.leases == 0 ? .close : .none
    }

    /// Puts a connection into the list where it belongs by now.
    private mutating func place(_ id: ConnectionID, _ usage: Usage) {
        light.removeAll { $0 == id }
        heavy.removeAll { $0 == id }
        guard usage.leases < usage.room else { return }
        if usage.leases < usage.share { light.append(id) } else { heavy.append(id) }
    }

    /// - Parameter failsFirstWaiter: false if the first of those who wait goes on waiting, for another connection.
    mutating func connectFailed(_ id: ConnectionID, failsFirstWaiter: Bool = true) -> FailureAction {
        if remove(id) == .connecting { connecting -= 1 }
        let failsFirstWaiter = failsFirstWaiter && takeWaiter()
        return FailureAction(failsFirstWaiter: failsFirstWaiter, connect: connectIfNeeded())
    }

    /// A connection is gone, for whatever reason, and its leases with it. Returns the one to open in its place for those who wait.
    mutating func closed(_ id: ConnectionID) -> ConnectionID? {
        switch remove(id) {
        case .established:
            light.removeAll { $0 == id }
            heavy.removeAll { $0 == id }
        case .connecting: connecting -= 1
        case nil: break
        }
        return connectIfNeeded()
    }

    /// False if nobody waits.
    private mutating func takeWaiter() -> Bool {
        guard waiting > 0 else { return false }
        waiting -= 1
        return true
    }

    /// With what is being opened.
    private var roomToCome: Int { room + connecting * (expectedRoom ?? 1) }

    private mutating func connectIfNeeded() -> ConnectionID? {
        let isBlind = configuration.mayHaveStreams && expectedRoom == nil
        // Those there is room for are served by what there is.
        let free = max(0, min(room, inFlightLimit) - leases)
        guard waiting > connecting * (expectedRoom ?? 1) + free,
            connections.count < configuration.maximumConnections,
            connecting < (isBlind ? configuration.maximumConnectingBlindly : configuration.maximumConnecting),
            roomToCome < configuration.maximumConnections,
            roomToCome < inFlightLimit,
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
        if case .established(let usage) = connection {
            leases -= usage.leases
            room -= usage.room
            if usage.leases == 0 { idle -= 1 }
        }
        return connection
    }
}
