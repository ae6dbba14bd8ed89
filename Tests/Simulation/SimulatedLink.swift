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
    private let attempts: Attempts

    private static let timeout = Duration.milliseconds(100)

    init(
        _ timeline: Timeline, server: SimulatedServer, _ attempts: Attempts, eventLoop: any EventLoop,
        inProcess: @escaping (@escaping () -> Void) -> Void
    ) {
        self.timeline = timeline
        self.server = server
        self.attempts = attempts
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
        attempts.claims(claim, at: eventLoop.now)
        run(
            { [server] in server.claim(claim) },
            { [attempts] result in
                if case .success(let outcome) = result { attempts.claimed(claim, outcome) }
                completion(result)
            })
    }

    func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement,
        _ completion: @escaping (Result<AcceptedResponse?, IdempotencyRecordError>) -> Void
    ) {
        run(
            { [server] in server.settle(claim, settlement) },
            { [attempts] result in
                if case .success = result { attempts.settled(claim) }
                completion(result)
            })
    }

    func receive(
        _ receipt: Receipt,
        _ completion: @escaping (Result<ReceiptOutcome, IdempotencyRecordError>) -> Void
    ) {
        run({ [server] in server.receive(receipt) }, completion)
    }

    func report(
        on scope: IdempotencyScope, _ completion: @escaping (Result<KeyReport, IdempotencyRecordError>) -> Void
    ) {
        run({ [server] in server.report(scope) }, completion)
    }
}
