import NIOCore
import NIOEmbedded
import Synchronization
import TestSupport

@testable import GatewayCore
@testable import GatewayRedis

/// Replicas that share a rate by a real Redis, in virtual time in place of Redis's own.
final class DeploymentInVirtualTime {
    /// The same time for all of them, in milliseconds.
    final class Clock: Sendable {
        private let milliseconds = Atomic<Int>(1_000_000_000)

        var now: Int { milliseconds.load(ordering: .relaxed) }
        var deadline: NIODeadline { .uptimeNanoseconds(UInt64(now) * 1_000_000) }

        func advance() { milliseconds.add(1, ordering: .relaxed) }
    }

    final class Client: PermitClient {
        private let port: Int
        private let clock: Clock
        let isAway = Atomic<Bool>(false)
        let commands = Atomic<Int>(0)
        let replicas = Atomic<Int>(0)
        /// How far the server's clock is ahead, in milliseconds.
        let skew = Atomic<Int>(0)

        init(port: Int, clock: Clock) {
            self.port = port
            self.clock = clock
        }

        func lease(
            _ request: PermitRequest, of caller: String, _ then: @escaping @Sendable (PermitLease?) -> Void
        ) {
            guard !isAway.load(ordering: .relaxed) else { return then(nil) }
            commands.add(1, ordering: .relaxed)
            let now = clock.now + skew.load(ordering: .relaxed)
            let source = RateScripts.lease.source
                .replacing(RateScripts.clock, with: "{\(now / 1000), \(now % 1000 * 1000)}")
            let words =
                ["EVAL", source, "1", RecordKeys(prefix: "test").rate(of: caller)] + RateScripts.arguments(request)
            let reply = try? RedisControl.commands([words], port: port)
            let numbers = (reply ?? "").split(separator: "\n").compactMap { Int($0) }
            then(PermitLease(.array(numbers.map(RESPValue.integer))))
        }

        func countReplicas(_ then: @escaping @Sendable (Int?) -> Void) {
            then(isAway.load(ordering: .relaxed) ? nil : replicas.load(ordering: .relaxed))
        }

    }

    struct Replica {
        let loop: EmbeddedEventLoop
        let rates: SharedRates
        let rate: SharedRate
    }

    let clock = Clock()
    let client: Client
    private let redis: RedisProcess
    private var limit: RateLimit
    private(set) var replicas: [Replica] = []
    private var accepted = 0
    private var refusals: [Duration] = []

    init(_ redis: RedisProcess, perSecond: Int, burst: Int) throws {
        self.redis = redis
        limit = RateLimit(perSecond: perSecond, burst: burst)
        client = Client(port: redis.port, clock: clock)
        try redis.command("FLUSHALL")
    }

    func add(_ count: Int = 1) {
        for _ in 0..<count {
            let loop = EmbeddedEventLoop()
            let clock = clock
            let rates = SharedRates(client: client, timers: loop, clock: { clock.deadline })
            replicas.append(Replica(loop: loop, rates: rates, rate: rates.rate(of: "orders", limit)))
        }
        recount()
    }

    /// Empties Redis. The replicas are counted again from the first.
    func forget() {
        _ = try? redis.command("FLUSHALL")
        client.replicas.store(1, ordering: .relaxed)
    }

    /// As a reload does.
    func use(perSecond: Int, burst: Int) {
        limit = RateLimit(perSecond: perSecond, burst: burst)
    }

    func kill(_ index: Int) {
        replicas.remove(at: index)
        recount()
    }

    private func recount() { client.replicas.store(replicas.count, ordering: .relaxed) }

    /// Requests that the deployment lets through.
    ///
    /// - Parameters:
    ///   - perSecond: so many come, evenly.
    ///   - spread: the replica that the balancer gives a request to, by the number of the request.
    ///   - each: called once a virtual second with its number.
    func run(
        seconds: Int, perSecond: Int, spread: (Int) -> Int, each: (Int) -> Void = { _ in }
    ) -> Int {
        accepted = 0
        var number = 0
        for millisecond in 0..<seconds * 1000 {
            if millisecond.isMultiple(of: 1000) { each(millisecond / 1000) }
            clock.advance()
            for replica in replicas { replica.loop.advanceTime(by: .milliseconds(1)) }
            while number < (millisecond + 1) * perSecond / 1000 {
                send(to: replicas[spread(number) % replicas.count])
                number += 1
            }
        }
        return accepted
    }

    /// Requests of so many, all at the same moment, that are let through.
    func burst(_ count: Int, to index: Int) -> Int {
        accepted = 0
        for _ in 0..<count { send(to: replicas[index]) }
        return accepted
    }

    /// As a request for an access token comes.
    func passAtOnce() throws(CallerError) { try replicas[0].rate.passAtOnce(limit, now: clock.deadline) }

    private func send(to replica: Replica) {
        switch replica.rate.pass(limit, now: clock.deadline, on: replica.loop) {
        case .now(let decision): note(decision)
        case .later(let decision): decision.assumeIsolated().whenSuccess { self.note($0) }
        }
    }

    private func note(_ decision: SharedRate.Decision) {
        switch decision {
        case .success: accepted += 1
        case .failure(let error): refusals.append(error.retryAfter ?? .zero)
        }
    }

    /// Forgets what was refused by now.
    func forgetRefusals() { refusals = [] }

    /// The longest time for which somebody was told to wait.
    var longestRetryAfter: Duration { refusals.max() ?? .zero }
}
