import GatewayCore
import NIOCore

/// One server as one event loop reaches it: a connection while there is one, and a new one when it is lost.
final class RedisNode {
    typealias Resolve = (@escaping (Result<RedisConfiguration.Address, RedisUnreachable>) -> Void) -> Void

    private enum State {
        /// Can transition to: ready, pausing, shutDown.
        case connecting
        /// Can transition to: connecting, pausing, shutDown.
        case ready(RedisConnection)
        /// Can transition to: connecting, shutDown.
        case pausing
        case shutDown
    }

    private struct Waiting {
        var request: RedisRequest
        var completion: RedisConnection.Completion
        var deadline: NIODeadline
    }

    /// Commands that wait for a first connection, at most.
    private static let waitingLimit = 4_096
    /// A connection that lasted shorter than this is followed by a pause, as one that never came about.
    private static let shortLife = Duration.seconds(1)
    /// An idle connection is tried this often, so that a dead one is noticed before a message needs it.
    private static let idleCheck = Duration.seconds(10)

    private let connector: RedisConnector
    private let role: RedisHandshake.Role
    private let resolve: Resolve
    private let onReady: (RedisNode) -> Void
    private let onLost: (RedisNode, String) -> Void
    /// Nil for servers that keep no records.
    private let epochs: EpochKeeper?
    private var isLookingAtEpoch = false
    private var state = State.pausing
    private var pause = ReconnectPause()
    /// Whether the last try failed: then commands fail at once instead of waiting for the next one.
    private var hasFailed = false
    /// Commands of this connection may still be unread at the server.
    private var predecessor: RedisIdentity?
    /// The connection at hand, or the one that is being made.
    private var connection: RedisConnection?
    private var waiting = CircularBuffer<Waiting>()
    private var readySince: NIODeadline?

    private var eventLoop: any EventLoop { connector.eventLoop }

    /// - Parameter resolve: finds the server's address, for each connection again.
    init(
        _ connector: RedisConnector, as role: RedisHandshake.Role, epochs: EpochKeeper? = nil,
        resolve: @escaping Resolve, onReady: @escaping (RedisNode) -> Void = { _ in },
        onLost: @escaping (RedisNode, String) -> Void = { _, _ in }
    ) {
        self.epochs = epochs
        self.connector = connector
        self.role = role
        self.resolve = resolve
        self.onReady = onReady
        self.onLost = onLost
    }

    var isReady: Bool { if case .ready = state { true } else { false } }

    /// Replicas that have to confirm a write before it counts.
    var waitReplicas = 0 {
        didSet { connection?.waitReplicas = waitReplicas }
    }

    /// The key by which the loss of this server's records shows; nil while it is not known which of them it keeps.
    var epochKey: String? {
        didSet { if epochKey != oldValue { lookAtEpoch() } }
    }

    /// Those that were connected to it when this connection was made; nil where it does not tell.
    private(set) var replicasAtFirst: Set<RedisConfiguration.Address>?

    /// Whether the records of before are still there.
    func lookAtEpoch() {
        guard case .ready(let connection) = state, let epochs, let epochKey, !isLookingAtEpoch else { return }
        isLookingAtEpoch = true
        epochs.look(at: epochKey, on: connection) { self.isLookingAtEpoch = false }
    }

    func send(_ request: RedisRequest, _ completion: @escaping RedisConnection.Completion) {
        switch state {
        case .ready(let connection):
            connection.send(request, completion)
        case .connecting where !hasFailed && waiting.count < Self.waitingLimit:
            let deadline = eventLoop.now + connector.configuration.commandTimeout
            waiting.append(Waiting(request: request, completion: completion, deadline: deadline))
            if waiting.count == 1 { setTimer(deadline) }
        case .connecting, .pausing, .shutDown:
            completion(.failure(.notSent))
        }
    }

    /// What it says shows that another connection is needed, perhaps to another server.
    func reconnect(because reason: String) {
        if case .ready(let connection) = state { connection.close(reason) }
    }

    func shutDown() {
        state = .shutDown
        failWaiting()
        connection?.close("shut down")
        connection = nil
    }

    // MARK: Connecting

    func connect() {
        guard case .pausing = state else { return }
        state = .connecting
        resolve { result in
            guard case .connecting = self.state else { return }
            switch result {
            case .failure(let unreachable): self.lost(unreachable.reason)
            case .success(let address): self.connect(to: address)
            }
        }
    }

    /// Where it was connected to last; redirections that name no host mean this one.
    private(set) var address: RedisConfiguration.Address?

    private func connect(to address: RedisConfiguration.Address) {
        self.address = address
        var identity: RedisIdentity?
        connection = connector.connect(to: address, as: role, after: predecessor) { event in
            switch event {
            case .ready(let ready):
                identity = ready
                self.replicasAtFirst = ready.replicas
                self.prepare()
            case .epochChanged: self.lookAtEpoch()
            case .closed(let reason, let leftUndecided):
                self.connection = nil
                if leftUndecided { self.predecessor = identity }
                self.lost("\(address): \(reason)")
            }
        }
    }

    /// Nothing is asked of a server before it is known what it has kept.
    private func prepare() {
        guard let connection else { return }
        connection.waitReplicas = waitReplicas
        guard let epochs else { return connected() }
        guard let epochKey else {
            epochs.guardUnknown(connection)
            return connected()
        }
        epochs.look(at: epochKey, on: connection) { [weak connection] in
            if let connection, connection.isOpen, self.connection === connection { self.connected() }
        }
    }

    private func connected() {
        guard case .connecting = state, let connection else { return }
        state = .ready(connection)
        predecessor = nil
        hasFailed = false
        readySince = eventLoop.now
        checkLater(connection)
        // First what was left undecided, then what is new.
        onReady(self)
        let waiting = waiting
        self.waiting.removeAll()
        for command in waiting { connection.send(command.request, command.completion) }
    }

    private func lost(_ reason: String) {
        switch state {
        case .shutDown, .pausing: return
        case .ready, .connecting:
            let lasted = readySince.map { Duration(from: $0, to: eventLoop.now) } ?? .zero
            readySince = nil
            state = .pausing
            onLost(self, reason)
            // Most often the server has only closed an idle connection, or was restarted: that is tried at once.
            if lasted >= Self.shortLife {
                pause.connected()
                return connect()
            }
            hasFailed = true
            failWaiting()
            let delay = pause.next(random: Double.random(in: 0..<1))
            eventLoop.assumeIsolated().scheduleTask(deadline: eventLoop.now + delay) { self.connect() }
        }
    }

    private func checkLater(_ connection: RedisConnection) {
        eventLoop.assumeIsolated().scheduleTask(deadline: eventLoop.now + Self.idleCheck) { [weak self] in
            guard let self, case .ready(let current) = state, current === connection else { return }
            // Whatever it says shows that it lives; that nothing comes ends the connection.
            connection.send(RedisRequest(.plain(["PING"]))) { _ in }
            checkLater(connection)
        }
    }

    // MARK: Waiting

    private func failWaiting() {
        let waiting = waiting
        self.waiting.removeAll()
        for command in waiting { command.completion(.failure(.notSent)) }
    }

    private func setTimer(_ deadline: NIODeadline) {
        eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
            let now = self.eventLoop.now
            while let first = self.waiting.first, first.deadline <= now {
                self.waiting.removeFirst()
                first.completion(.failure(.notSent))
            }
            if let first = self.waiting.first { self.setTimer(first.deadline) }
        }
    }
}

/// Why there is no connection. For the log.
struct RedisUnreachable: Error, Equatable {
    var reason: String
}
