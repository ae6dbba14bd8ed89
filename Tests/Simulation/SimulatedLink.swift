import GatewayCore
import GatewayRedis
import NIOCore

/// The connection of one process to the server, and its reconnecting: what GatewayRedis promises, in virtual time.
final class SimulatedLink: IdempotencyRecordClient {
    /// One connection. Commands on it arrive in order; replies, too.
    private final class Connection {
        var isOpen = true
        /// The server has been told to forget it.
        var isFenced = false
        var lastArrival: NIODeadline
        var lastReply: NIODeadline
        var pending: [Int: () -> Void] = [:]
        let lane = SimulatedServer.Lane()

        init(now: NIODeadline) {
            (lastArrival, lastReply) = (now, now)
        }
    }

    private let timeline: Timeline
    private let server: SimulatedServer
    /// Runs something in the process, once it is awake; never, if it has died.
    private let inProcess: (@escaping () -> Void) -> Void
    private let eventLoop: any EventLoop
    var onAvailable: (() -> Void)?
    private var connection: Connection?
    private var predecessors: [Connection] = []
    private var commands = 0
    private var isDead = false
    /// When each attempt last asked for its record.
    private(set) var claimedAt: [UInt64: NIODeadline] = [:]
    /// Attempts that hold a record as far as this process knows, or may.
    private(set) var unsettled: [UInt64: IdempotencyClaim] = [:]

    /// The last attempt of this process that was given each record.
    private(set) var owned: [IdempotencyScope: IdempotencyClaim] = [:]

    private static let timeout = Duration.milliseconds(100)

    init(
        _ timeline: Timeline, server: SimulatedServer, eventLoop: any EventLoop,
        inProcess: @escaping (@escaping () -> Void) -> Void
    ) {
        self.timeline = timeline
        self.server = server
        self.eventLoop = eventLoop
        self.inProcess = inProcess
        connection = Connection(now: timeline.now)
    }

    // MARK: Connection

    /// The network, the server or a timeout ends the connection.
    func breakConnection() {
        guard let broken = connection else { return }
        connection = nil
        broken.isOpen = false
        predecessors.append(broken)
        let pending = broken.pending.sorted { $0.key < $1.key }
        broken.pending.removeAll()
        for (_, fail) in pending { fail() }
        reconnect()
    }

    private func reconnect() {
        timeline.after(timeline.milliseconds(1...400)) { [self] in
            inProcess { [self] in
                guard connection == nil, !isDead else { return }
                guard server.answers else { return reconnect() }
                if server.design.fences { for old in predecessors { old.isFenced = true } }
                predecessors.removeAll()
                connection = Connection(now: timeline.now)
                onAvailable?()
            }
        }
    }

    /// Everything that still waits is told, and nothing more is sent.
    func die() {
        isDead = true
        let pending = connection?.pending.sorted { $0.key < $1.key } ?? []
        connection?.isOpen = false
        connection = nil
        for (_, fail) in pending { fail() }
    }

    private func run<Reply>(
        _ command: @escaping () -> Reply, _ completion: @escaping (Result<Reply, IdempotencyRecordError>) -> Void
    ) {
        guard let connection, !isDead else { return completion(.failure(.notDone)) }
        commands += 1
        let number = commands
        connection.pending[number] = { completion(.failure(.undecided)) }
        connection.lastArrival = max(connection.lastArrival, timeline.now + TimeAmount(timeline.milliseconds(0...2)))
        timeline.at(connection.lastArrival) { [self] in
            server.receive(on: connection.lane) { [self] in
                guard !connection.isFenced else { return }
                let reply = command()
                connection.lastReply = max(
                    connection.lastReply, timeline.now + TimeAmount(timeline.milliseconds(0...2)))
                timeline.at(connection.lastReply) { [self] in
                    inProcess {
                        if connection.pending.removeValue(forKey: number) != nil { completion(.success(reply)) }
                    }
                }
            }
        }
        eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(Self.timeout)) { [self] in
            if connection.pending[number] != nil { breakConnection() }
        }
    }

    // MARK: Commands

    func claim(
        _ claim: IdempotencyClaim, _ completion: @escaping (Result<ClaimOutcome, IdempotencyRecordError>) -> Void
    ) {
        claimedAt[claim.owner.number] = eventLoop.now
        unsettled[claim.owner.number] = claim
        run(
            { [server] in server.claim(claim) },
            { [self] result in
                if case .success(let outcome) = result {
                    if outcome == .owned { owned[claim.scope] = claim } else { unsettled[claim.owner.number] = nil }
                }
                completion(result)
            })
    }

    func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement,
        _ completion: @escaping (Result<Void, IdempotencyRecordError>) -> Void
    ) {
        run(
            { [server] in server.settle(claim, settlement) },
            { [self] result in
                if case .success = result { unsettled[claim.owner.number] = nil }
                completion(result)
            })
    }

    func report(
        on scope: IdempotencyScope, _ completion: @escaping (Result<KeyReport, IdempotencyRecordError>) -> Void
    ) {
        run({ [server] in server.report(scope) }, completion)
    }
}
