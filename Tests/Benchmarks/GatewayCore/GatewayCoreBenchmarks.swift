import Benchmark
import CAllocationCounter
import Crypto
import GatewayCore
import NIOCore
import NIOEmbedded

/// What the pure parts of a message's way allocate, one part a benchmark, a thousand times each.
///
/// Allocations are counted, and not nanoseconds: their number is the same on every machine, so it can have a threshold.
let allocations = BenchmarkMetric.custom("allocations")

let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration = .init(
        metrics: [allocations], warmupIterations: 3, scalingFactor: .kilo, maxDuration: .seconds(2), maxIterations: 20,
        // Of a thousand: tables grow when they have to, and how many keys share a place is chance.
        thresholds: [allocations: BenchmarkThresholds(absolute: [.p90: 200])])

    /// Runs `body` as often as the benchmark wants and reports what that allocated.
    func count(_ benchmark: Benchmark, _ body: (Int) -> Void) {
        let before = allocation_count()
        for number in benchmark.scaledIterations { body(number) }
        benchmark.measurement(allocations, allocation_count() - before)
    }

    Benchmark("read-a-request") { benchmark in
        let bytes = SampleRequest.bytes(key: "order-1")
        var decoder = RequestDecoder()
        count(benchmark) { _ in
            decoder.receive(bytes)
            blackHole(decoder.next())
        }
    }

    Benchmark("validate-a-message") { benchmark in
        let content = SampleRequest.content
        count(benchmark) { _ in
            blackHole((try? MessageValidator.validate(content.readableBytesUInt8Span)) != nil)
        }
    }

    Benchmark("find-a-region-by-its-endpoint") { benchmark in
        let endpoints = ByRegion { APIEndpoint.official($0) }
        guard let directory = try? RegionDirectory(ByRegion { [endpoints[$0]] }) else {
            return benchmark.error("the official endpoints contradict one another")
        }
        let field = ByteBuffer(string: "https://api.fe.amazonalexa.com")
        count(benchmark) { _ in
            blackHole(directory.region(of: field.readableBytesUInt8Span, 0..<field.readableBytes))
        }
    }

    Benchmark("scope-and-fingerprint-of-a-message") { benchmark in
        var hasher = IdempotencyHasher(FingerprintKeys(SymmetricKey(size: .bits256)))
        let prefix = Array("orders/weather".utf8)
        let (name, id) = (ByteBuffer(string: "order-1"), ByteBuffer(string: SampleRequest.userID))
        guard let key = try? IdempotencyKey(parsing: 0..<name.readableBytes, of: name),
            let user = try? UserID(parsing: 0..<id.readableBytes, of: id)
        else { return benchmark.error("the key or the userId is not valid") }
        count(benchmark) { _ in
            blackHole(hasher.scope(prefix: prefix, key: key))
            blackHole(hasher.fingerprints(key: key, user: user, content: SampleRequest.content).0)
        }
    }

    Benchmark("claim-and-settle-in-memory") { benchmark in
        let loop = EmbeddedEventLoop()
        let store = MemoryIdempotencyStore(eventLoops: 1)
        let result = AttemptResult(.success(SampleResponse.accepted), region: .europe)
        let settlement = Settlement.accepted(SampleResponse.recorded)
        func claimAndSettle(_ number: Int) {
            let claim = SampleClaim.numbered(number)
            blackHole(store.claim(claim, on: loop))
            blackHole(store.settle(claim, settlement, result: result, on: loop))
        }
        // Each shard makes room for its first records once.
        for number in 1_000_000..<1_020_000 { claimAndSettle(number) }
        count(benchmark) { claimAndSettle($0) }
    }

    Benchmark("encode-an-answer") { benchmark in
        let encoder = ResponseEncoder(endpoints: ByRegion { APIEndpoint.official($0) })
        let answer = Response(.upstream(SampleResponse.accepted), region: .europe)
        var buffer = ByteBuffer()
        count(benchmark) { _ in
            encoder.encode(answer, .init(keepsAlive: true, id: .made(connection: 1, request: 2)), into: &buffer)
            blackHole(buffer.readableBytes)
        }
    }

    Benchmark("forward-a-message") { benchmark in
        guard let flow = try? AcceptingFlow() else { return benchmark.error("the configuration is not valid") }
        // Each shard of the store makes room for its first records once.
        let warmUp = flow.requests(1_000_000..<1_020_000)
        for request in warmUp { flow.forward(request) }
        let requests = flow.requests(benchmark.scaledIterations)
        count(benchmark) { flow.forward(requests[$0]) }
        guard flow.accepted == warmUp.count + requests.count else {
            return benchmark.error("\(flow.accepted) accepted")
        }
    }

    Benchmark("replay-an-answer") { benchmark in
        guard let flow = try? AcceptingFlow() else { return benchmark.error("the configuration is not valid") }
        let request = flow.requests(0..<1)[0]
        flow.forward(request)
        count(benchmark) { _ in flow.forward(request) }
        guard flow.sent == 1 else { return benchmark.error("\(flow.sent) sent") }
    }

    Benchmark(
        "render-1500-series",
        configuration: .init(
            metrics: [allocations], scalingFactor: .one, maxDuration: .seconds(2), maxIterations: 20,
            thresholds: [allocations: BenchmarkThresholds(absolute: [.p90: 200])])
    ) { benchmark in
        guard let flow = try? AcceptingFlow(callers: 50, skills: 10) else {
            return benchmark.error("the configuration is not valid")
        }
        flow.forwardOneForEachSeries()
        let snapshot = flow.snapshot()
        count(benchmark) { _ in blackHole(snapshot.render(.prometheus)) }
    }
}
