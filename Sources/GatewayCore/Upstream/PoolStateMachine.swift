public import NIOCore

/// Which connection carries the next message, when to open one and when to close one. Pure: time is passed in, and
/// connections are known by number only.
public struct PoolStateMachine: Sendable {
    public struct Configuration: Equatable, Sendable {
        public var maximumConnections = 256
        /// Handshakes under way at once: a burst on a cold pool waits for the first connections instead of opening
        /// one for each message.
        public var maximumConnecting = 32
        /// How long a message waits while all connections are busy.
        public var slotTimeout = Duration.milliseconds(250)
        public var connectTimeout = Duration.seconds(2)
        /// Below the idle limit of Amazon's front, so that ours is the side that closes.
        public var idleTimeout = Duration.seconds(30)
        public var maximumUses = 9_000
        public var maximumAge = Duration.seconds(600)
        /// Messages that wait for a connection, at most.
        public var maximumWaiters = 4_096

        public init() {}
    }

    public typealias ConnectionID = Int
    public typealias WaiterID = Int

    public enum LeaseAction: Equatable {
        case use(ConnectionID)
        case wait(WaiterID, until: NIODeadline, connect: ConnectionID?)
        case refuse
    }

    public enum ConnectionAction: Equatable {
        case none
        case handTo(WaiterID)
        case close
    }

    public struct ConnectedAction: Equatable {
        public var connection: ConnectionAction
        /// The connection to open for those who still wait: its handshake was held back by this one.
        public var connect: ConnectionID?
    }

    public struct FailureAction: Equatable {
        /// Which waiter is told, if any still waits.
        public var fail: WaiterID?
        /// The connection to open for those who remain.
        public var connect: ConnectionID?
    }

    private enum Connection: Equatable {
        /// Can transition to: idle, leased, gone.
        case connecting
        /// Can transition to: leased, gone.
        case idle(since: NIODeadline, Usage)
        /// Can transition to: idle, gone.
        case leased(Usage)
    }

    private struct Usage: Equatable {
        var established: NIODeadline
        var uses = 0
    }

    public let configuration: Configuration
    private let idleTimeout: TimeAmount
    private let maximumAge: TimeAmount
    private var connections: [ConnectionID: Connection] = [:]
    /// Newest last. Taking the newest lets the others grow old and close.
    private var idle: [ConnectionID] = []
    private var connecting = 0
    /// In order of arrival; those that gave up are skipped when their turn comes.
    private var queue: [WaiterID] = []
    private var queueHead = 0
    private var waiting: Set<WaiterID> = []
    private var lastID = 0

    public init(_ configuration: Configuration) {
        self.configuration = configuration
        idleTimeout = TimeAmount(configuration.idleTimeout)
        maximumAge = TimeAmount(configuration.maximumAge)
    }

    public var idleCount: Int { idle.count }
    public var connectingCount: Int { connecting }
    public var leasedCount: Int { connections.count - idle.count - connecting }
    public var isEmpty: Bool { connections.isEmpty }

    /// The connection that was used last of those that are free; nil if none is.
    public mutating func leaseIdle() -> ConnectionID? {
        guard let id = idle.popLast(), case .idle(_, let usage) = connections[id] else { return nil }
        connections[id] = .leased(usage)
        return id
    }

    public mutating func lease(now: NIODeadline) -> LeaseAction {
        if let id = leaseIdle() { return .use(id) }
        guard waiting.count < configuration.maximumWaiters else { return .refuse }
        let waiter = nextID()
        waiting.insert(waiter)
        queue.append(waiter)
        let connect = connectIfNeeded()
        let timeout = connecting > 0 ? configuration.connectTimeout : configuration.slotTimeout
        return .wait(waiter, until: now + timeout, connect: connect)
    }

    /// A waiter's time is up. True if it was still waiting.
    public mutating func waiterTimedOut(_ waiter: WaiterID) -> Bool {
        waiting.remove(waiter) != nil
    }

    public mutating func connected(_ id: ConnectionID, now: NIODeadline) -> ConnectedAction {
        guard connections[id] == .connecting else { return ConnectedAction(connection: .close) }
        connecting -= 1
        let action = makeFree(id, Usage(established: now), now: now)
        return ConnectedAction(connection: action, connect: connectIfNeeded())
    }

    public mutating func connectFailed(_ id: ConnectionID) -> FailureAction {
        if connections.removeValue(forKey: id) == .connecting { connecting -= 1 }
        let waiter = nextWaiter()
        return FailureAction(fail: waiter, connect: connectIfNeeded())
    }

    /// A leased connection has done its work, or was not needed (`wasUsed` false).
    public mutating func released(_ id: ConnectionID, wasUsed: Bool, now: NIODeadline) -> ConnectionAction {
        guard case .leased(var usage) = connections[id] else { return .close }
        if wasUsed { usage.uses += 1 }
        let isWorn =
            usage.uses >= configuration.maximumUses
            || now - usage.established >= maximumAge
        guard !isWorn else { return .close }
        return makeFree(id, usage, now: now)
    }

    /// A connection is gone, for whatever reason. Returns the one to open in its place for those who wait.
    public mutating func closed(_ id: ConnectionID) -> ConnectionID? {
        switch connections.removeValue(forKey: id) {
        case .idle: idle.removeAll { $0 == id }
        case .connecting: connecting -= 1
        case .leased, nil: break
        }
        return connectIfNeeded()
    }

    /// The idle connections whose time is up. They count as gone.
    public mutating func closeWorn(now: NIODeadline) -> [ConnectionID] {
        var worn: [ConnectionID] = []
        idle.removeAll { id in
            guard case .idle(let since, let usage) = connections[id] else { return true }
            guard
                now - since >= idleTimeout || now - usage.established >= maximumAge
            else { return false }
            connections[id] = nil
            worn.append(id)
            return true
        }
        return worn
    }

    private mutating func makeFree(_ id: ConnectionID, _ usage: Usage, now: NIODeadline) -> ConnectionAction {
        if let waiter = nextWaiter() {
            connections[id] = .leased(usage)
            return .handTo(waiter)
        }
        connections[id] = .idle(since: now, usage)
        idle.append(id)
        return .none
    }

    private mutating func nextWaiter() -> WaiterID? {
        while queueHead < queue.count {
            let waiter = queue[queueHead]
            queueHead += 1
            if queueHead == queue.count {
                queue.removeAll(keepingCapacity: true)
                queueHead = 0
            }
            if waiting.remove(waiter) != nil { return waiter }
        }
        return nil
    }

    private mutating func connectIfNeeded() -> ConnectionID? {
        guard waiting.count > connecting, connecting < configuration.maximumConnecting,
            connections.count < configuration.maximumConnections
        else { return nil }
        let id = nextID()
        connections[id] = .connecting
        connecting += 1
        return id
    }

    private mutating func nextID() -> Int {
        lastID += 1
        return lastID
    }
}
