import Crypto
import GatewayCore
import GatewayFiles
import GatewayRedis
import NIOCore
import NIOPosix
import Synchronization

/// Where the records of a simulation are.
enum SimulatedStorage {
    case server(SimulatedServer)
    /// One process at a time.
    case disk(SimulatedDisk)

    var records: [IdempotencyScope: IdempotencyRecord] {
        switch self {
        case .server(let server): server.records
        case .disk(let disk): disk.records
        }
    }
}

/// One gateway process: the shipped flow, token cache and store on an event loop of virtual time. Can be paused
/// and killed.
final class SimulatedProcess {
    static let deadline = Duration.seconds(2)

    let number: Int
    let loop: VirtualEventLoop
    private let timeline: Timeline
    private let storage: SimulatedStorage
    private let ledger: Ledger
    private(set) var isDead = false
    /// Was killed in the middle of something, and does nothing more that anybody sees.
    private var isKilled = false
    private var isPaused = false
    /// What came while it was paused.
    private var unhandled: [() -> Void] = []
    private let tokens: TokenCache
    private let endpoint: SimulatedTokenEndpoint
    private var forwarder: MessageForwarder?
    private var pool: SimulatedPool?
    private var link: SimulatedLink?
    private var store: (any IdempotencyStore)?
    private let attempts = Attempts()
    private let sendBudget = ForwardingConfiguration.Limits().sendBudget
    private var sendsOfAttempt: [UInt64: Int] = [:]
    private(set) var answered = 0

    init(
        number: Int, _ timeline: Timeline, _ storage: SimulatedStorage, upstream: SimulatedUpstream, ledger: Ledger
    ) throws {
        self.number = number
        self.timeline = timeline
        self.storage = storage
        self.ledger = ledger
        loop = VirtualEventLoop(timeline)
        endpoint = SimulatedTokenEndpoint(seed: UInt64(number))
        endpoint.granting(upstream.validTokens)
        let dice = SharedDice(seed: UInt64(number) &* 7919)
        tokens = TokenCache(
            ClientCredentials(clientID: "c", clientSecret: "s"), endpoint: endpoint, eventLoop: loop,
            random: { dice.fraction() })
        let pool = SimulatedPool(timeline, upstream: upstream, process: self)
        self.pool = pool
        let store: any IdempotencyStore
        switch storage {
        case .server(let server):
            let link = SimulatedLink(
                timeline, server: server, attempts, eventLoop: loop, inProcess: { [weak self] in self?.run($0) })
            self.link = link
            store = SharedIdempotencyStore(
                .redis, on: link, whenUnavailable: .refuse, eventLoop: loop, random: { timeline.fraction() })
        case .disk(let disk):
            disk.takeOver()
            store = ObservedStore(try Self.fileStore(on: disk, eventLoop: loop), attempts, ledger: ledger)
        }
        self.store = store
        forwarder = try Self.forwarder(store: store, pool: pool, tokens: tokens, loop: loop, origin: UInt64(number))
        tokens.start()
    }

    private static func fileStore(on disk: SimulatedDisk, eventLoop: any EventLoop) throws -> FileIdempotencyStore {
        let memory = MemoryIdempotencyStore(eventLoops: 16, numbersChanges: true)
        var options = RecordFiles.Options(unixMilliseconds: { disk.unixMilliseconds })
        options.longestSegment = 1024
        let files = RecordFiles(on: disk, memory, threads: .singleton, options)
        _ = try files.load(now: eventLoop.now, callers: ["orders", "content"])
        return FileIdempotencyStore(files, stream: 0, whenUnavailable: .refuse, eventLoop: eventLoop)
    }

    /// The shipped flow, for one skill, one caller with keys and one without.
    static func forwarder(
        store: any IdempotencyStore, pool: any UpstreamPool, tokens: TokenCache, loop: any EventLoop,
        origin: UInt64
    ) throws -> MessageForwarder {
        let endpoints = ByRegion { APIEndpoint.official($0) }
        let orders = Caller(index: 0, name: "orders", skills: [0])
        let content = Caller(
            index: 1, name: "content", skills: [0],
            keySources: IdempotencyKeySources([.content], contentWindow: Ledger.contentWindow))
        var configuration = ForwardingConfiguration(
            callers: CallerDirectory([
                CallerDirectory.Entry(orders, keys: [APIKeyDigest(of: apiKey)]),
                CallerDirectory.Entry(content, keys: [APIKeyDigest(of: contentAPIKey)]),
            ]),
            skills: [
                Skill(index: 0, name: "weather", defaultRegion: .europe, tokens: tokens, receiptMember: "receipt")
            ],
            regions: try RegionDirectory(ByRegion { [endpoints[$0]] }), endpoints: endpoints)
        configuration.limits.deadline = deadline
        configuration.discovery = .probe
        configuration.receipts = ReceiptIDs(
            signingSecrets: ["a signing key of the simulation's own"], skills: ["weather"])
        return MessageForwarder(
            configuration, store: store, pools: ByRegion { _ in pool },
            fingerprintKeys: FingerprintKeys(fingerprintKey),
            eventLoop: loop, origin: origin,
            wallClock: { wallClock(loop.now) })
    }

    static func wallClock(_ now: NIODeadline) -> UnixTimestamp {
        UnixTimestamp(
            seconds: 1_795_497_192 + Int(now.uptimeNanoseconds / 1_000_000_000),
            nanoseconds: Int(now.uptimeNanoseconds % 1_000_000_000))
    }

    /// Amazon takes tokens of this generation from now on.
    func tokensRevoked(_ generation: Int) { endpoint.granting(generation) }

    static let apiKey = "key"
    static let contentAPIKey = "content-key"
    private static let fingerprintKey = SymmetricKey(data: Array(repeating: UInt8(7), count: 32))

    // MARK: Life

    /// Time passes, unless the process is paused: then it stands still in there.
    func advance(to time: NIODeadline) {
        if !isPaused && !isDead { loop.advance(to: time) }
    }

    /// Something comes from outside.
    func run(_ action: @escaping () -> Void) {
        if isDead { return }
        if isPaused { unhandled.append(action) } else { action() }
    }

    func pause() { isPaused = true }

    func resume() {
        guard isPaused else { return }
        isPaused = false
        // The clock first, for it goes on while a process stands still; with it the timers that are due.
        loop.advance(to: timeline.now)
        let actions = unhandled
        unhandled.removeAll()
        for action in actions { action() }
    }

    func breakStoreConnection() { run { [self] in link?.breakConnection() } }

    /// Ends in the middle of what it does: nobody hears of what comes of it.
    func isKilledNow() { isKilled = true }

    /// Ends like a process that is killed: what it was about to do is not done, and nobody hears of it.
    func die() {
        guard !isDead else { return }
        isDead = true
        ledger.died(process: number, holding: Array(attempts.unsettled.values))
        bury()
    }

    /// Completes what waits inside, with no effect outside, so that nothing is left of it.
    private func bury() {
        link?.die()
        pool?.die()
        endpoint.die()
        tokens.stop()
        loop.advance(to: loop.now + Self.deadline * 3)
        loop.drop()
        forwarder = nil
        store = nil
        pool = nil
        link = nil
    }

    var messagesInFlight: Int { forwarder?.counted().messagesInFlight ?? 0 }
    var messagesCounted: Int { forwarder?.counted().messages.values.reduce(0, +) ?? 0 }

    // MARK: Messages

    /// - Parameter then: gets the answer, and when the record was claimed that the key had all the while.
    func forward(
        _ message: Ledger.Message, isConsented: Bool, then: @escaping (Response, _ recordBegan: NIODeadline?) -> Void
    ) {
        // Where nobody says where the user lives, the regions are tried in turn.
        let region = timeline.chance(0.3) ? "" : "Gateway-Region: \(timeline.element(["NA", "EU", "FE"]))\r\n"
        let limit = timeline.chance(0.8) ? "" : "Gateway-Timeout: \(timeline.element(["0.1", "0.4", "1.5", "9"]))\r\n"
        let fields = region + limit + (isConsented ? "Idempotency-Resend: ?1\r\n" : "")
        guard let request = message.request(fields) else { return }
        let began = recordBegan(message)
        forwarder?.handle(
            request, from: Peer(),
            to: SimulatedRecipient { [self] answer in
                guard !isDead, !isKilled else { return }
                answered += 1
                then(answer, recordBegan(message) == began ? began : nil)
            })
    }

    /// A skill reports a message, and somebody else one that nobody has sent.
    func receive(_ send: Int) {
        let id = ledger.sends[send].receipt
        if timeline.chance(0.1) { report("A" + id.dropFirst() == id ? "B" + id.dropFirst() : "A" + id.dropFirst()) }
        ledger.reports(send)
        report(id)
    }

    private func report(_ id: String) {
        let content = #"{"id":"\#(id)"}"#
        var decoder = RequestDecoder()
        decoder.receive(
            ByteBuffer(
                string:
                    "POST /v1/receipts HTTP/1.1\r\nHost: x\r\nContent-Length: \(content.utf8.count)\r\n\r\n\(content)"))
        guard case .request(let request) = decoder.next() else { return }
        forwarder?.handle(request, from: Peer(), to: SimulatedRecipient { _ in })
    }

    /// When the record of a key was claimed; nil where there is none.
    private func recordBegan(_ message: Ledger.Message) -> NIODeadline? {
        ScopesOfKeys.shared.scope(of: message.key).flatMap { storage.records[$0] }.map {
            $0.expires - TimeAmount(Ledger.contentWindow)
        }
    }

    /// The flow writes a message to a connection. Returns the number of the send, and that of its token.
    func noteSend(_ request: UpstreamRequest) -> (send: Int, token: Int) {
        let text = String(buffer: request.content)
        let message = Ledger.Message(
            key: Self.number(after: #""key":""#, text), variant: Self.number(after: #""variant":""#, text))
        let scope = ScopesOfKeys.shared.scope(of: message.key)
        let claim = scope.flatMap { attempts.owned[$0] }
        let number = claim?.owner.number ?? 0
        sendsOfAttempt[number, default: 0] += 1
        let send = ledger.sent(
            message, by: self.number, of: claim, holding: scope.flatMap { storage.records[$0] },
            claimedAgo: attempts.claimedAt[number].map { Duration(from: $0, to: loop.now) },
            isFirst: sendsOfAttempt[number] == 1, budget: sendBudget, receipt: Self.receipt(in: text),
            at: timeline.now)
        return (send, Self.number(after: "Atc|", String(buffer: request.token.fieldLine)))
    }

    private static func receipt(in text: String) -> String {
        guard let range = text.firstRange(of: #""receipt":""#) else { return "" }
        return String(text[range.upperBound...].prefix { $0 != "\"" })
    }

    private static func number(after mark: String, _ text: String) -> Int {
        guard let range = text.firstRange(of: mark) else { return -1 }
        return Int(text[range.upperBound...].prefix { $0.isNumber }) ?? -1
    }
}

private final class SimulatedRecipient: ResponseRecipient {
    private let then: (Response) -> Void

    init(_ then: @escaping (Response) -> Void) {
        self.then = then
    }

    func answered(_ answer: Response) { then(answer) }
}
