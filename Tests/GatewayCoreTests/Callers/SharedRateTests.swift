import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import GatewayCore

/// What requests are told while the reply of the store is on its way.
@Suite struct SharedRateTests {
    /// Replies when it is told to.
    private final class Client: PermitClient {
        private let pending = Mutex<[@Sendable (PermitLease?) -> Void]>([])
        private let asked = Mutex<[PermitRequest]>([])

        var requests: [PermitRequest] { asked.withLock { $0 } }

        func lease(_ request: PermitRequest, of _: String, _ then: @escaping @Sendable (PermitLease?) -> Void) {
            asked.withLock { $0.append(request) }
            pending.withLock { $0.append(then) }
        }

        func countReplicas(_ then: @escaping @Sendable (Int?) -> Void) { then(4) }

        func reply(_ lease: PermitLease?) { pending.withLock { $0.removeFirst() }(lease) }
    }

    private struct Bed {
        let client: Client
        let loop: EmbeddedEventLoop
        let rates: SharedRates
        let rate: SharedRate
    }

    private let limit = RateLimit(perSecond: 100, burst: 10)

    private func bed() -> Bed {
        let (client, loop) = (Client(), EmbeddedEventLoop())
        let rates = SharedRates(client: client, timers: loop, clock: { .uptimeNanoseconds(5_000_000_000) })
        let rate = rates.rate(of: "orders", limit)
        loop.run()
        return Bed(client: client, loop: loop, rates: rates, rate: rate)
    }

    /// The answers, in the order in which they came.
    private final class Answers {
        var granted = 0
        var refused: [Duration] = []

        func note(_ decision: SharedRate.Decision) {
            switch decision {
            case .success: granted += 1
            case .failure(let error): refused.append(error.retryAfter ?? .zero)
            }
        }
    }

    private func send(_ count: Int, _ bed: Bed, _ limit: RateLimit? = nil) -> Answers {
        let answers = Answers()
        for _ in 0..<count {
            switch bed.rate.pass(limit ?? self.limit, now: .uptimeNanoseconds(5_000_000_000), on: bed.loop) {
            case .now(let decision): answers.note(decision)
            case .later(let decision): decision.assumeIsolated().whenSuccess { answers.note($0) }
            }
        }
        return answers
    }

    @Test func `those that wait are served in turn, and more is asked for`() {
        let bed = bed()
        let answers = send(5, bed)
        #expect(bed.client.requests.map(\.wanted) == [1])
        #expect(answers.granted == 0 && answers.refused.isEmpty)
        bed.client.reply(PermitLease(permits: 3))
        #expect(answers.granted == 3)
        #expect(bed.client.requests.map(\.wanted) == [1, 2])
        bed.client.reply(PermitLease(permits: 4))
        #expect(answers.granted == 5)
        // Two are left.
        let more = send(2, bed)
        #expect(more.granted == 2)
    }

    @Test func `those that wait for what comes later are told when`() {
        let bed = bed()
        let answers = send(2, bed)
        bed.client.reply(PermitLease(permits: 3, wait: 250_000_000))
        #expect(answers.granted == 0)
        #expect(answers.refused == [.milliseconds(250), .milliseconds(250)])
        #expect(send(1, bed).refused == [.milliseconds(250)])
        #expect(bed.client.requests.count == 1)
        bed.loop.advanceTime(by: .milliseconds(250))
        #expect(send(3, bed).granted == 3)
    }

    @Test func `no more wait than may come at once`() {
        let bed = bed()
        let answers = send(12, bed)
        #expect(answers.refused.count == 2)
        bed.client.reply(PermitLease(permits: 10))
        #expect(answers.granted == 10)
    }

    @Test func `without a reply each replica goes by its share, which begins empty`() {
        let bed = bed()
        let answers = send(2, bed)
        bed.client.reply(nil)
        // A quarter of 100 a second: one in 40 ms.
        #expect(answers.refused == [.milliseconds(40), .milliseconds(40)])
        #expect(bed.rates.statistics?.rates.byShare == 2)
        // Asked once more after a second, whoever wants permits meanwhile.
        _ = send(3, bed)
        #expect(bed.client.requests.count == 1)
        bed.loop.advanceTime(by: .seconds(1))
        #expect(bed.client.requests.count == 2)
        bed.client.reply(PermitLease(permits: 0))
        let later = send(1, bed)
        #expect(bed.client.requests.last?.passedAway == 0)
        bed.client.reply(PermitLease(permits: 1))
        #expect(later.granted == 1)
        bed.loop.advanceTime(by: .seconds(5))
        #expect(bed.client.requests.count == 3)
    }

    @Test func `one that cannot wait has no more credit than a lease`() throws {
        let bed = bed()
        for _ in 0..<20 { try bed.rate.passAtOnce(limit, now: .uptimeNanoseconds(5_000_000_000)) }
        #expect(throws: CallerError.self) {
            try bed.rate.passAtOnce(limit, now: .uptimeNanoseconds(5_000_000_000))
        }
        bed.client.reply(PermitLease(permits: 22))
        // The debt is paid first.
        #expect(send(3, bed).granted == 2)
    }

    @Test func `another limit counts from the next request on`() {
        let bed = bed()
        _ = send(1, bed)
        bed.client.reply(PermitLease(permits: 9))
        #expect(send(1, bed).granted == 1)
        let answers = send(1, bed, RateLimit(perSecond: 1, burst: 1))
        #expect(answers.granted == 0)
        bed.client.reply(PermitLease(permits: 1, wait: 1_000_000_000))
        #expect(answers.refused == [.seconds(1)])
        // And back again: what is to come is of a limit that counts no longer.
        let more = send(1, bed)
        bed.client.reply(PermitLease(permits: 1))
        #expect(more.granted == 1)
    }

    @Test func `who waits when it ends is answered`() {
        let bed = bed()
        let answers = send(2, bed)
        bed.rates.stop()
        #expect(answers.refused.count == 2)
        #expect(send(1, bed).refused.count == 1)
        bed.client.reply(PermitLease(permits: 1))
        #expect(bed.client.requests.count == 1)
    }

    @Test func `whoever takes at the same time, each permit is used up once`() async {
        let pool = PermitPool()
        pool.add(10_000, usedByNow: 0, now: 0)
        let taken = await withTaskGroup(of: (Int, Int).self) { tasks in
            for _ in 0..<8 {
                tasks.addTask {
                    var (taken, low) = (0, 0)
                    while case .taken(let isLow) = pool.take(now: 0) {
                        taken += 1
                        if isLow { low += 1 }
                    }
                    return (taken, low)
                }
            }
            return await tasks.reduce((0, 0)) { ($0.0 + $1.0, $0.1 + $1.1) }
        }
        #expect(taken.0 == 10_000)
        #expect(taken.1 == 1)
        #expect(pool.atHand == 0)
    }
}
