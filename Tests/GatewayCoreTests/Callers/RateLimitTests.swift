import NIOCore
import Testing

@testable import GatewayCore

@Suite struct RateLimitTests {
    private static let second: Int64 = 1_000_000_000

    /// How many of those that come at these times are allowed.
    private func allowed(_ limit: RateLimit, at times: [Int64]) -> Int {
        var next: Int64 = 0
        return times.count { now in
            guard case .allowed(let arrival) = limit.decide(theoreticalArrivalTime: next, now: now) else {
                return false
            }
            next = arrival
            return true
        }
    }

    @Test func `a burst passes at once, and no more`() {
        let limit = RateLimit(perSecond: 10, burst: 5)
        #expect(allowed(limit, at: Array(repeating: Self.second, count: 20)) == 5)
    }

    @Test func `the pace is kept for as long as anybody sends faster`() {
        let limit = RateLimit(perSecond: 10, burst: 1)
        // 200 a second for ten seconds.
        #expect(allowed(limit, at: (0..<2000).map { $0 * Self.second / 200 }) == 100)
    }

    @Test func `who keeps the pace is never refused`() {
        let limit = RateLimit(perSecond: 10, burst: 1)
        #expect(allowed(limit, at: (0..<100).map { $0 * Self.second / 10 }) == 100)
    }

    @Test func `a pause earns no more than a burst`() {
        let limit = RateLimit(perSecond: 10, burst: 3)
        let later = 1000 * Self.second
        #expect(allowed(limit, at: [Self.second] + Array(repeating: later, count: 10)) == 1 + 3)
    }

    @Test func `a refusal says when the next one is allowed`() {
        let limit = RateLimit(perSecond: 1, burst: 2)
        guard case .allowed(let one) = limit.decide(theoreticalArrivalTime: 0, now: 5 * Self.second),
            case .allowed(let two) = limit.decide(theoreticalArrivalTime: one, now: 5 * Self.second),
            case .refused(let wait) = limit.decide(theoreticalArrivalTime: two, now: 5 * Self.second + Self.second / 4)
        else { return #expect(Bool(false), "two of three are allowed") }
        #expect(wait == Self.second * 3 / 4)
        #expect(
            limit.decide(theoreticalArrivalTime: two, now: 6 * Self.second)
                == .allowed(theoreticalArrivalTime: 8 * Self.second))
    }

    @Test func `nonsense becomes the nearest that makes sense`() {
        #expect(RateLimit(perSecond: 0, burst: 0) == RateLimit(perSecond: 1, burst: 1))
        #expect(RateLimit(perSecond: .max, burst: .max) == RateLimit(perSecond: 1_000_000, burst: 1_000_000))
    }

    @Test func `messages in flight are counted, and given back`() throws {
        let usage = CallerUsage()
        try usage.enter(2)
        try usage.enter(2)
        #expect(throws: CallerError.self) { try usage.enter(2) }
        usage.leave()
        try usage.enter(2)
    }

    @Test func `event loops share one rate`() {
        let usage = CallerUsage()
        let rate = RateLimit(perSecond: 1, burst: 100)
        let now = NIODeadline.uptimeNanoseconds(1)
        var refusals: [CallerError] = []
        for _ in 0..<250 {
            do throws(CallerError) {
                try usage.pass(rate, now: now)
            } catch {
                refusals.append(error)
            }
        }
        #expect(refusals.count == 150)
        #expect(refusals.allSatisfy { $0.reason == .rateLimitExceeded && $0.retryAfter?.asRetryAfterSeconds == 1 })
    }
}
