import Crypto
import NIOCore
import NIOEmbedded
import Synchronization

@testable import GatewayCore

/// The forwarding flow on a test event loop: time stands until the test moves it, and the other ends of all seams are
/// in the test's hands.
final class FlowBed {
    let loop = EmbeddedEventLoop()
    let pool: ScriptedPool
    let endpoint = ImmediateTokenEndpoint()
    let store: SlowStore
    let forwarder: MessageForwarder
    private var configuration: ForwardingConfiguration
    let tokens: TokenCache
    /// Unix time, in seconds.
    let wallClock = SharedNumber(1_795_497_192)
    private let reportedEvents = ReportedEvents()

    /// Those that have been reported by now.
    var events: [GatewayEvent] { reportedEvents.all.withLock { $0 } }

    private final class ReportedEvents: Sendable {
        let all = Mutex<[GatewayEvent]>([])
    }

    init(_ change: (inout ForwardingConfiguration) -> Void = { _ in }) throws {
        pool = ScriptedPool(loop)
        tokens = TokenCache(
            ClientCredentials(clientID: "c", clientSecret: "s"), endpoint: endpoint, eventLoop: loop)
        let endpoints = ByRegion { APIEndpoint.official($0) }
        let caller = Caller(index: 0, name: "orders", skills: [0])
        var configuration = ForwardingConfiguration(
            callers: CallerDirectory([CallerDirectory.Entry(caller, keys: [APIKeyDigest(of: "key")])]),
            skills: [Skill(index: 0, name: "weather", defaultRegion: .europe, tokens: tokens)],
            regions: try RegionDirectory(ByRegion { [endpoints[$0]] }), endpoints: endpoints)
        change(&configuration)
        self.configuration = configuration
        store = SlowStore(loop)
        forwarder = MessageForwarder(
            configuration, store: store, pools: ByRegion { [pool] in PoolOfRegion(pool, $0) },
            fingerprintKeys: FingerprintKeys(SymmetricKey(data: Array(repeating: UInt8(7), count: 32))),
            eventLoop: loop,
            wallClock: { [wallClock] in UnixTimestamp(seconds: wallClock.value, nanoseconds: 0) },
            onEvent: { [reportedEvents] event in reportedEvents.all.withLock { $0.append(event) } })
        tokens.start()
    }

    /// Messages from here on are forwarded by a changed configuration.
    func use(_ change: (inout ForwardingConfiguration) -> Void) {
        change(&configuration)
        forwarder.use(configuration, callerNames: [], skillNames: [])
    }

    /// Asks what became of a key.
    func inquire(_ path: String, method: String = "GET", authorization: String = "Bearer key") -> Recipient {
        request(method, "/v1/idempotency-keys/\(path)", "Authorization: \(authorization)\r\n", nil)
    }

    /// Any request.
    func request(
        _ method: String, _ path: String, _ fields: String, _ content: String?, peer: Peer = Peer()
    ) -> Recipient {
        let length = content.map { "Content-Length: \($0.utf8.count)\r\n" } ?? ""
        var decoder = RequestDecoder()
        decoder.receive(
            ByteBuffer(string: "\(method) \(path) HTTP/1.1\r\nHost: x\r\n\(fields)\(length)\r\n\(content ?? "")"))
        let recipient = Recipient()
        if case .request(let request) = decoder.next() { forwarder.handle(request, from: peer, to: recipient) }
        loop.run()
        return recipient
    }

    /// Sends one message into the flow; the answer is found in what is returned.
    func send(key: String? = "k", content: String = #"{"data":{"a":"b"}}"#, fields: String = "") -> Recipient {
        let key = key.map { "Idempotency-Key: \($0)\r\n" } ?? ""
        return request(
            "POST", "/v1/skillmessages/users/u%3Av", "Authorization: Bearer key\r\n" + fields + key, content)
    }

    var records: MemoryIdempotencyStore.Statistics { store.memory.statistics(now: loop.now) }
}

/// A number that the test changes and others read.
final class SharedNumber: Sendable {
    private let number: Mutex<Int>

    init(_ number: Int) { self.number = Mutex(number) }

    var value: Int { number.withLock { $0 } }
    func add(_ difference: Int) { number.withLock { $0 += difference } }
}

final class Recipient: ResponseRecipient {
    private(set) var answers: [Response] = []

    func answered(_ answer: Response) { answers.append(answer) }

    var status: Int? { answers.count == 1 ? answers.first?.status : nil }
    var isReplay: Bool? { answers.first?.isReplay }

    var problem: Problem? {
        guard case .refusal(let refusal) = answers.first?.content else { return nil }
        return refusal.problem
    }
}

/// Grants a token at once, and another each time it is asked.
final class ImmediateTokenEndpoint: TokenEndpoint {
    private let state = Mutex((grants: 0, isDown: false, lifetimeSeconds: 3600))

    var grants: Int { state.withLock { $0.grants } }

    /// Of the tokens granted from now on.
    func grant(forSeconds lifetime: Int) { state.withLock { $0.lifetimeSeconds = lifetime } }

    func goDown() { state.withLock { $0.isDown = true } }

    func fetchToken(
        _ credentials: ClientCredentials, secret: ClientCredentials.Secret, on eventLoop: any EventLoop
    ) -> EventLoopFuture<Result<TokenGrant, TokenFetchFailure>> {
        let result: Result<TokenGrant, TokenFetchFailure> = state.withLock { state in
            guard !state.isDown else { return .failure(TokenFetchFailure(.unreachable, "down")) }
            state.grants += 1
            return .success(TokenGrant(token: "Atc|\(state.grants)", lifetimeSeconds: state.lifetimeSeconds))
        }
        return eventLoop.makeSucceededFuture(result)
    }
}

/// Connections whose answers the test gives. Each answer is a turn of the event loop.
final class ScriptedPool {
    private let loop: EmbeddedEventLoop
    /// What the next lease gets; connections while empty.
    var unavailable: [UpstreamUnavailable] = []
    /// Leases are given when the test says so, not at once.
    var leasesLater = false
    private var waiting: [(receiver: any UpstreamReceiver, region: Region)] = []
    /// Connections that turn out dead before a byte is written.
    var deadConnections = 0
    private(set) var requests: [String] = []
    private(set) var receivers: [any UpstreamReceiver] = []
    private var late: [any UpstreamReceiver] = []
    fileprivate(set) var leased = 0

    init(_ loop: EmbeddedEventLoop) {
        self.loop = loop
    }

    fileprivate func lease(
        for receiver: any UpstreamReceiver, in region: Region
    ) -> Result<any UpstreamConnection, UpstreamUnavailable>? {
        if !unavailable.isEmpty { return .failure(unavailable.removeFirst()) }
        if leasesLater {
            waiting.append((receiver, region))
            return nil
        }
        leased += 1
        return .success(ScriptedConnection(self, region))
    }

    fileprivate func write(_ request: UpstreamRequest, to region: Region, _ receiver: any UpstreamReceiver) -> Bool {
        leased -= 1
        guard deadConnections == 0 else {
            deadConnections -= 1
            return false
        }
        let writer = HTTP1RequestWriter(endpoint: APIEndpoint.official(region), userAgent: "test")
        var buffer = ByteBuffer()
        writer.write(request, into: &buffer)
        requests.append(String(buffer: buffer))
        receivers.append(receiver)
        return true
    }

    /// Gives a connection to the message that has waited longest for one.
    func giveLease() {
        guard !waiting.isEmpty else { return }
        leased += 1
        let (receiver, region) = waiting.removeFirst()
        receiver.upstreamLeased(.success(ScriptedConnection(self, region)))
        loop.run()
    }

    /// Answers the message that was sent first of those that wait.
    func answer(_ status: Int, requestID: String = "r") {
        guard !receivers.isEmpty else { return }
        receivers.removeFirst().upstreamResponded(UpstreamResponse(status: status, requestID: .text(requestID)))
        loop.run()
    }

    func fail(_ failure: UpstreamFailure) {
        guard !receivers.isEmpty else { return }
        receivers.removeFirst().upstreamFailed(failure)
        loop.run()
    }

    /// The time of the oldest message is up, and its connection goes on waiting.
    func giveUp() {
        guard let receiver = receivers.first else { return }
        receivers.removeFirst()
        late.append(receiver)
        receiver.upstreamFailed(.timeout)
        loop.run()
    }

    /// The answers have not come for so long.
    func wait(_ time: TimeAmount) {
        loop.advanceTime(by: time)
        for receiver in receivers { receiver.upstreamStillAwaited(now: loop.now) }
        loop.run()
    }

    /// What it is told is how its connection ended.
    fileprivate func stopAwaiting(_ receiver: any UpstreamReceiver) {
        receivers.removeAll { $0 === receiver }
        late.append(receiver)
    }

    /// What the oldest of those gets.
    func end(late answer: UpstreamResponse?) {
        late.removeFirst().upstreamEnded(late: answer)
        loop.run()
    }
}

private final class PoolOfRegion: UpstreamPool {
    private let pool: ScriptedPool
    private let region: Region

    init(_ pool: ScriptedPool, _ region: Region) {
        self.pool = pool
        self.region = region
    }

    func lease(for receiver: any UpstreamReceiver) -> Result<any UpstreamConnection, UpstreamUnavailable>? {
        pool.lease(for: receiver, in: region)
    }
}

private final class ScriptedConnection: UpstreamConnection {
    private let pool: ScriptedPool
    private let region: Region

    init(_ pool: ScriptedPool, _ region: Region) {
        self.pool = pool
        self.region = region
    }

    func send(_ request: UpstreamRequest, limit: NIODeadline, receiver: any UpstreamReceiver) -> Bool {
        pool.write(request, to: region, receiver)
    }

    func stopAwaiting(_ receiver: any UpstreamReceiver) { pool.stopAwaiting(receiver) }

    func release(by _: any UpstreamReceiver) { pool.leased -= 1 }
}

/// The memory store, with replies that can be held back as a network would.
final class SlowStore: IdempotencyStore {
    let memory = MemoryIdempotencyStore(eventLoops: 16)
    private let loop: EmbeddedEventLoop
    private let delay = Mutex<Duration?>(nil)
    private let attemptEnd = Mutex<(@Sendable () -> Void)?>(nil)
    private let away = Atomic<Bool>(false)
    /// Whether it cannot be asked what became of a message.
    var isAway: Bool {
        get { away.load(ordering: .relaxed) }
        set { away.store(newValue, ordering: .relaxed) }
    }

    init(_ loop: EmbeddedEventLoop) {
        self.loop = loop
    }

    func delayReplies(by duration: Duration?) { delay.withLock { $0 = duration } }

    private func reply<Value>(_ value: Eventual<Value>) -> Eventual<Value> {
        guard let delay = delay.withLock({ $0 }), case .now(let value) = value else { return value }
        return .later(loop.scheduleTask(in: TimeAmount(delay)) { value }.futureResult)
    }

    var kind: StoreKind { .memory }

    func claim(_ claim: IdempotencyClaim, now: NIODeadline, on eventLoop: any EventLoop) -> Eventual<ClaimReply> {
        reply(memory.claim(claim, now: now, on: eventLoop))
    }

    /// As a store behind a network, it knows nothing at once while replies take their time.
    func acceptedResponse(to claim: IdempotencyClaim, now: NIODeadline) -> AcceptedResponse? {
        delay.withLock { $0 } == nil ? memory.acceptedResponse(to: claim, now: now) : nil
    }

    func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement, result: AttemptResult, now: NIODeadline,
        on eventLoop: any EventLoop
    ) -> Eventual<SettlementReply> {
        reply(memory.settle(claim, settlement, result: result, now: now, on: eventLoop))
    }

    /// Ends the attempt that is asked for, on another replica: it is over, and its answer is not known here.
    func endNextAttempt(by end: @escaping @Sendable () -> Void) { attemptEnd.withLock { $0 = end } }

    func resultOfAttemptInFlight(_ claim: IdempotencyClaim, on eventLoop: any EventLoop) -> Eventual<AttemptResult?> {
        if let end = attemptEnd.withLock({ $0 }) {
            attemptEnd.withLock { $0 = nil }
            end()
            return .now(nil)
        }
        return memory.resultOfAttemptInFlight(claim, on: eventLoop)
    }

    func receive(
        _ receipt: Receipt, on eventLoop: any EventLoop
    ) -> Eventual<ReceiptOutcome?> {
        reply(memory.receive(receipt, on: eventLoop))
    }

    func report(on scope: IdempotencyScope, on eventLoop: any EventLoop) -> Eventual<KeyReport?> {
        isAway ? .now(nil) : reply(memory.report(on: scope, on: eventLoop))
    }
}
