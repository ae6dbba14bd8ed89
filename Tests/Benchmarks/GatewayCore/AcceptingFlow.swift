import Crypto
import GatewayCore
import NIOCore
import NIOEmbedded

/// The whole flow of a message on a test event loop, with an upstream that accepts each in the next turn.
final class AcceptingFlow {
    private let loop = EmbeddedEventLoop()
    private let pool = AcceptingPool()
    private let recipient = CountingRecipient()
    private let peer = Peer()
    private let forwarder: MessageForwarder
    private let callers: [String]
    private let skills: [String]

    init(callers callerCount: Int = 1, skills skillCount: Int = 1) throws {
        let callers = (0..<callerCount).map { "caller-\($0)" }
        let skills = (0..<skillCount).map { "skill-\($0)" }
        (self.callers, self.skills) = (callers, skills)
        let endpoints = ByRegion { APIEndpoint.official($0) }
        let directory = CallerDirectory(
            callers.enumerated().map { index, name in
                CallerDirectory.Entry(
                    Caller(index: index, name: name, skills: Array(skills.indices)),
                    keys: [APIKeyDigest(of: SampleRequest.apiKey(index))])
            })
        let (loop, pool) = (loop, pool)
        let configuration = ForwardingConfiguration(
            callers: directory,
            skills: skills.enumerated().map { index, name in
                let tokens = TokenCache(
                    ClientCredentials(clientID: "c", clientSecret: "s"), endpoint: GrantingEndpoint(), eventLoop: loop)
                tokens.start()
                return Skill(index: index, name: name, defaultRegion: .europe, tokens: tokens)
            },
            regions: try RegionDirectory(ByRegion { [endpoints[$0]] }), endpoints: endpoints)
        forwarder = MessageForwarder(
            configuration, store: MemoryIdempotencyStore(eventLoops: 1), pools: ByRegion { _ in pool },
            fingerprintKeys: FingerprintKeys(SymmetricKey(size: .bits256)), eventLoop: loop,
            wallClock: { UnixTimestamp(seconds: 1_795_497_192, nanoseconds: 0) })
        loop.run()
    }

    var accepted: Int { recipient.accepted }
    var sent: Int { pool.sent }

    /// Messages with keys of their own.
    func requests(_ numbers: Range<Int>) -> [InboundRequest] {
        numbers.compactMap { Self.request(SampleRequest.bytes(key: "order-\($0)")) }
    }

    private static func request(_ bytes: ByteBuffer) -> InboundRequest? {
        var decoder = RequestDecoder()
        decoder.receive(bytes)
        guard case .request(let request) = decoder.next() else { return nil }
        return request
    }

    func forward(_ request: InboundRequest) {
        forwarder.handle(request, from: peer, to: recipient)
        loop.run()
        pool.answer()
        loop.run()
    }

    func forwardOneForEachSeries() {
        for caller in callers.indices {
            for skill in skills.indices {
                for region in Region.allCases {
                    let bytes = SampleRequest.bytes(key: "k", caller: caller, skill: skill, region: region)
                    if let request = Self.request(bytes) { forward(request) }
                }
            }
        }
    }

    func snapshot() -> MetricsSnapshot {
        var snapshot = MetricsSnapshot(
            callers: callers, skills: skills, build: .init(version: "0", revision: "0", swift: "0"))
        snapshot.forwarding = forwarder.counted()
        return snapshot
    }
}

private final class CountingRecipient: ResponseRecipient {
    private(set) var accepted = 0

    func answered(_ answer: Response) {
        if answer.status == 202 { accepted += 1 }
    }
}

private final class AcceptingPool: UpstreamPool, UpstreamConnection {
    private(set) var sent = 0
    private var receiver: (any UpstreamReceiver)?
    private let writer = HTTP1RequestWriter(endpoint: APIEndpoint.official(.europe), userAgent: "benchmark")
    private var buffer = ByteBuffer()

    func lease(for receiver: any UpstreamReceiver) -> Result<any UpstreamConnection, UpstreamUnavailable>? {
        .success(self)
    }

    func send(_ request: UpstreamRequest, limit: NIODeadline, receiver: any UpstreamReceiver) -> Bool {
        // As a connection does.
        writer.write(request, into: &buffer)
        sent += 1
        self.receiver = receiver
        return true
    }

    func answer() {
        let receiver = receiver
        self.receiver = nil
        receiver?.upstreamResponded(SampleResponse.accepted)
    }

    func stopAwaiting(_: any UpstreamReceiver) {}
    func release(by _: any UpstreamReceiver) {}
}

private struct GrantingEndpoint: TokenEndpoint {
    func fetchToken(
        _ credentials: ClientCredentials, secret: ClientCredentials.Secret, on eventLoop: any EventLoop
    ) -> EventLoopFuture<Result<TokenGrant, TokenFetchFailure>> {
        eventLoop.makeSucceededFuture(.success(TokenGrant(token: "Atc|token", lifetimeSeconds: 3600)))
    }
}
