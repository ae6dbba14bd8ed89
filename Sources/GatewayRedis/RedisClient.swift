package import GatewayCore
package import NIOCore
import TransportSecurity

/// Records, and what else replicas share, on Redis or Valkey, as one event loop reaches them. Bound to that loop.
///
/// Finds the server that keeps a key, follows redirections, and says of every command what became of it.
package final class RedisClient: IdempotencyRecordClient {
    package enum Event: Sendable {
        case available
        /// - Parameter reason: for the log; holds nothing secret.
        case lost(reason: String)
        /// An error reply that nothing can be done about from here.
        case refused(String)
        /// A setting under which records may be lost.
        case unsafe(RedisHealth.Setting, value: String)
        /// The records of before are gone.
        case wiped
        /// Nothing is sent under new keys: the store does not say that it has kept the records of before, as on a first start.
        case notAdopted
        /// What was wiped is in use again.
        case adopted
        /// The server's clock went another way than time does.
        case clockJumped(by: Duration)
    }

    private static let redirectionLimit = 5

    let configuration: RedisConfiguration
    let keys: RecordKeys
    let eventLoop: any EventLoop
    let onEvent: @Sendable (Event) -> Void
    private(set) var topology: (any RedisTopology)?
    /// Whether first claims go by `SET … NX GET`; the first server that does not know it settles that.
    var claimsBySet = true
    package var onAvailable: (() -> Void)?
    /// Looks at the server's own settings, if anybody does.
    var watch: RedisWatch?
    /// Shared by the event loops of a process.
    let health: RedisHealth
    private var ticks: RepeatedTask?
    private var isShutDown = false

    /// What is known of servers is looked at this often.
    private static let lookInterval = TimeAmount.seconds(1)

    /// - Parameters:
    ///   - clientName: shown by `CLIENT LIST`.
    ///   - vouches: whether it looks after the keys that tell whether records were lost, and makes them where there are none.
    ///   - health: what is found out about the store; one for all event loops.
    ///   - unixMilliseconds: the time of day.
    package init(
        _ configuration: RedisConfiguration, clientName: String, eventLoop: any EventLoop,
        vouches: Bool = true, health: RedisHealth = RedisHealth(), unixMilliseconds: @escaping () -> Int,
        onEvent: @escaping @Sendable (Event) -> Void = { _ in }
    ) throws {
        self.health = health
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.onEvent = onEvent
        keys = RecordKeys(prefix: configuration.keyPrefix)
        let connector = RedisConnector(
            configuration: configuration, tls: try configuration.tls.map(ClientTLS.init), clientName: clientName,
            eventLoop: eventLoop)
        let epochs =
            vouches
            ? EpochKeeper(
                configuration, health: health, unixMilliseconds: unixMilliseconds, onEvent: { onEvent($0) })
            : nil
        let onReady: (RedisNode) -> Void = { [weak self] _ in self?.available() }
        let onLost: (RedisNode, String) -> Void = { _, reason in onEvent(.lost(reason: reason)) }
        switch configuration.topology {
        case .standalone:
            topology = StandaloneTopology(connector, epochs: epochs, keys: keys, onReady: onReady, onLost: onLost)
        case .sentinel(let master, _):
            topology = SentinelServer(
                connector, master: master, epochs: epochs, keys: keys, onReady: onReady, onLost: onLost)
        case .cluster:
            topology = RedisCluster(connector, epochs: epochs, keys: keys, onReady: onReady, onLost: onLost)
        }
    }

    /// Connects, and goes on doing so whenever the connection is lost.
    package func start() {
        topology?.start()
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        ticks = eventLoop.scheduleRepeatedTask(initialDelay: Self.lookInterval, delay: Self.lookInterval) { _ in
            bound.value.look()
        }
    }

    package func startIfNeeded() {
        if ticks == nil && !isShutDown { start() }
    }

    package func shutDown() {
        isShutDown = true
        ticks?.cancel()
        ticks = nil
        topology?.shutDown()
    }

    private func look() {
        topology?.look()
        // One event loop looks for all, unless a loss has to be known to each before it sends.
        let nodes = topology?.nodes ?? []
        if watch != nil || configuration.onStoreWiped == .hold { for node in nodes { node.lookAtEpoch() } }
        if watch != nil && isUp { health.epochs.keep(only: Set(nodes.compactMap(\.epochKey))) }
        watch?.lookAtClocks()
    }

    /// Whether every record can be reached.
    package var isUp: Bool { topology?.isUp == true }

    /// Whether every server is reached and vouches for its records.
    package var isSound: Bool {
        isUp
            && topology?.nodes.allSatisfy { node in
                node.epochKey.flatMap { health.epochs.known($0) }?.isSound ?? keys.shareOneSlot
            } == true
    }

    private func available() {
        onEvent(.available)
        onAvailable?()
        watch?.look()
    }

    // MARK: Records

    package func claim(
        _ claim: IdempotencyClaim, _ completion: @escaping (Result<ClaimOutcome, IdempotencyRecordError>) -> Void
    ) {
        let command: RedisCommand = claimsBySet ? .claim(claim) : .claimByScript(claim)
        run(command) { [self] result in
            switch result {
            case .failure(.syntax):
                // A server before 7.0: the script is for it.
                claimsBySet = false
                claimByScript(claim, completion)
            // `SET` is refused whatever it would do; the script finds a record that is there all the same.
            case .failure(.failed(.full)): claimByScript(claim, completion)
            case .failure(.failed(let failure)): completion(.failure(failure))
            case .success(let reply): claimed(claim, reply, completion)
            }
        }
    }

    private func claimed(
        _ claim: IdempotencyClaim, _ reply: RESPValue,
        _ completion: @escaping (Result<ClaimOutcome, IdempotencyRecordError>) -> Void
    ) {
        switch ClaimReading(reply, to: claim) {
        case .outcome(let outcome): completion(.success(outcome))
        case .askByScript: claimByScript(claim, completion)
        case .replace(let recorded): claimByScript(claim, replacing: recorded, completion)
        case .unreadable:
            onEvent(.refused("the value under a record's key is not a record"))
            completion(.failure(.notDone))
        }
    }

    private func claimByScript(
        _ claim: IdempotencyClaim, replacing recorded: RequestFingerprint? = nil,
        _ completion: @escaping (Result<ClaimOutcome, IdempotencyRecordError>) -> Void
    ) {
        run(.claimByScript(claim, replacing: recorded)) { [self] result in
            switch result {
            case .failure(let failure): completion(.failure(failure.forRecord))
            case .success(let reply): claimed(claim, reply, completion)
            }
        }
    }

    package func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement,
        _ completion: @escaping (Result<AcceptedResponse?, IdempotencyRecordError>) -> Void
    ) {
        run(.settle(claim, settlement)) { result in
            completion(result.map { AcceptedResponse(found: $0, by: settlement) }.mapError(\.forRecord))
        }
    }

    package func report(
        on scope: IdempotencyScope, _ completion: @escaping (Result<KeyReport, IdempotencyRecordError>) -> Void
    ) {
        run(.report(scope)) { result in
            switch result {
            case .failure(let failure): completion(.failure(failure.forRecord))
            case .success(let reply):
                completion(KeyReport(reply).map(Result.success) ?? .failure(.notDone))
            }
        }
    }

    package func receive(
        _ receipt: Receipt,
        _ completion: @escaping (Result<ReceiptOutcome, IdempotencyRecordError>) -> Void
    ) {
        run(.receive(receipt)) { result in
            switch result {
            case .failure(let failure): completion(.failure(failure.forRecord))
            case .success(let reply):
                completion(ReceiptOutcome(reply).map(Result.success) ?? .failure(.notDone))
            }
        }
    }

    // MARK: Running

    enum CommandFailure: Error, Equatable {
        case failed(IdempotencyRecordError)
        /// The server does not know the command in this form.
        case syntax

        var forRecord: IdempotencyRecordError {
            switch self {
            case .failed(let failure): failure
            case .syntax: .notDone
            }
        }
    }

    typealias Completion = (Result<RESPValue, CommandFailure>) -> Void

    /// Asks the server that keeps the command's key.
    func run(_ command: RedisCommand, _ completion: @escaping Completion) {
        var key: ByteBuffer?
        if configuration.topology == .cluster { key = command.routingKey(keys) }
        guard let node = topology?.node(for: key) else { return completion(.failure(.failed(.notDone))) }
        run(RedisRequest(command), at: node, until: eventLoop.now + configuration.stepTimeout, hops: 0, completion)
    }

    private func run(
        _ request: RedisRequest, at node: RedisNode, until deadline: NIODeadline, hops: Int,
        _ completion: @escaping Completion
    ) {
        node.send(request) { [self] result in
            switch result {
            case .failure(.notSent): completion(.failure(.failed(.notDone)))
            case .failure(.undecided): completion(.failure(.failed(.undecided)))
            case .failure(.notReplicated): completion(.failure(.failed(.notReplicated)))
            case .failure(.forgotten): completion(.failure(.failed(.forgotten)))
            case .success(.error(let text)):
                refused(text, request, at: node, until: deadline, hops: hops, completion)
            case .success(let reply): completion(.success(reply))
            }
        }
    }

    private func refused(
        _ text: String, _ request: RedisRequest, at node: RedisNode, until deadline: NIODeadline, hops: Int,
        _ completion: @escaping Completion
    ) {
        let refusal = RedisRefusal(text, from: node.address?.host ?? "")
        let mayGoOn = hops < Self.redirectionLimit && eventLoop.now < deadline
        switch refusal {
        case .unknownScript where mayGoOn:
            var request = request
            request.withSource = true
            return run(request, at: node, until: deadline, hops: hops + 1, completion)
        case .moved, .ask:
            guard let other = topology?.node(for: refusal) else {
                onEvent(.refused("the server is a node of a cluster; expected `cluster: true`"))
                break
            }
            guard mayGoOn else { break }
            var request = request
            if case .ask = refusal { request.isAsking = true } else { request.isAsking = false }
            return run(request, at: other, until: deadline, hops: hops + 1, completion)
        case .wrongServer, .clusterDown:
            _ = topology?.node(for: refusal)
            if refusal == .wrongServer { node.reconnect(because: String(text.prefix { $0 != " " })) }
        case .full: return completion(.failure(.failed(.full)))
        case .unknownScript, .other:
            if case .claim = request.command, text.hasPrefix("ERR syntax") { return completion(.failure(.syntax)) }
            onEvent(.refused(String(text.prefix(200))))
        }
        completion(.failure(.failed(.notDone)))
    }
}

extension NIOLoopBound where Value == RedisClient {
    /// Asks from any thread, and connects before if nobody has. `then` is called on the client's event loop.
    func run(
        _ command: RedisCommand, _ then: @escaping @Sendable (Result<RESPValue, RedisClient.CommandFailure>) -> Void
    ) {
        eventLoop.execute {
            value.startIfNeeded()
            value.run(command, then)
        }
    }
}
