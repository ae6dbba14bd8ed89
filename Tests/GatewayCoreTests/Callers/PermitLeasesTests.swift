import NIOCore
import Testing

@testable import GatewayCore

@Suite struct PermitLeasesTests {
    private let limit = RateLimit(perSecond: 100, burst: 100)
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test func `the first question is for those that wait, and the next for what will be needed`() throws {
        var leases = PermitLeases(limit)
        let first = leases.ask(waiting: 3, atHand: 0, demand: 3, now: start)
        #expect(first == PermitRequest(limit: limit, wanted: 3))
        #expect(leases.replied(PermitLease(permits: 3)) == .now(3))
        // However fast the first ones came, at most twice as many as before: the first question was for one.
        let second = leases.ask(waiting: 1, atHand: 0, demand: 6, now: start + .milliseconds(3))
        #expect(second?.wanted == 2)
        _ = leases.replied(PermitLease(permits: 2))
        for expected in [4, 8, 15] {
            let next = leases.ask(waiting: 0, atHand: 5, demand: 1000 * expected, now: start + .seconds(4))
            #expect(next?.wanted == expected)
            _ = leases.replied(PermitLease(permits: expected))
        }
        // Three within three seconds: ten in ten.
        let slow = leases.ask(waiting: 0, atHand: 0, demand: 15_003, now: start + .seconds(7))
        #expect(slow?.wanted == 10)
        _ = leases.replied(PermitLease(permits: 10))
    }

    @Test func `one question at a time, and none while permits are to come`() {
        var leases = PermitLeases(limit)
        func ask() -> PermitRequest? {
            leases.ask(waiting: 1, atHand: 0, demand: 1, now: start)
        }
        #expect(ask() != nil)
        #expect(ask() == nil)
        guard case .later(let reservation, in: 50) = leases.replied(PermitLease(permits: 7, wait: 50)) else {
            Issue.record("they are there at once")
            return
        }
        #expect(ask() == nil)
        #expect(leases.arrived(reservation) == 7)
        #expect(leases.arrived(reservation) == nil)
        #expect(ask() != nil)
    }

    @Test func `the store is told of requests that it does not know of, once somebody wants permits again`() {
        var leases = PermitLeases(limit)
        func ask() -> PermitRequest? {
            leases.ask(waiting: 0, atHand: 0, demand: 0, now: start)
        }
        #expect(ask()?.passedAway == 0)
        leases.failed()
        #expect(leases.isAway && !leases.mayWait)
        #expect(ask() == nil)
        // Without a permit, which would be lost with another reply.
        #expect(leases.askAgain(wanted: 9, passed: 4) == PermitRequest(limit: limit, wanted: 0))
        leases.failed()
        // Nobody wants any more, and what passed is not forgotten.
        #expect(leases.askAgain(wanted: 0, passed: 0) == nil)
        #expect(!leases.isAway)
        #expect(ask()?.passedAway == 4)
        _ = leases.replied(PermitLease(permits: 1))
        #expect(ask()?.passedAway == 0)
    }

    @Test func `another limit leaves nothing of what was to come`() {
        var leases = PermitLeases(limit)
        _ = leases.ask(waiting: 1, atHand: 0, demand: 1, now: start)
        guard case .later(let reservation, _) = leases.replied(PermitLease(permits: 7, wait: 50)) else {
            Issue.record("they are there at once")
            return
        }
        let (same, other) = (leases.use(limit), leases.use(RateLimit(perSecond: 1, burst: 1)))
        #expect(!same && other)
        #expect(leases.arrived(reservation) == nil)
        #expect(leases.mayWait)
    }

    @Test func `what was taken on credit is asked for besides`() {
        var leases = PermitLeases(limit)
        let request = leases.ask(waiting: 0, atHand: -4, demand: 4, now: start)
        #expect(request?.wanted == 5)
    }

    @Test func `permits are used up once, and more are asked for when a quarter is left`() {
        let pool = PermitPool()
        #expect(pool.take(now: 0) == .none(wait: nil))
        pool.add(8, usedByNow: 0, now: 0)
        for taken in 1...8 { #expect(pool.take(now: 0) == .taken(isLow: taken == 6)) }
        #expect(pool.take(now: 0) == .none(wait: nil))
        pool.expectArrival(at: 500)
        #expect(pool.take(now: 100) == .none(wait: 400))
        #expect(pool.demand == 9)
    }

    @Test func `permits are good for half a minute`() {
        let pool = PermitPool()
        pool.add(8, usedByNow: 1, now: 0)
        #expect(pool.take(now: 29_999_999_999) == .taken(isLow: false))
        #expect(pool.take(now: 30_000_000_000) == .none(wait: nil))
        #expect(pool.atHand == 0)
        #expect(pool.demand == 2)
    }

    @Test func `a share is a part of the pace and of the burst`() {
        let share = limit.share(among: 10)
        #expect(share.interval == 100_000_000)
        #expect(share.burst == 10)
        #expect(RateLimit(perSecond: 1, burst: 1).share(among: 4).interval == 4_000_000_000)
        // After all of it is used up, the next may come an interval later.
        let exhausted = share.exhausted(now: 0)
        #expect(share.decide(theoreticalArrivalTime: exhausted, now: 99_999_999) == .refused(retryAfter: 1))
        guard case .allowed = share.decide(theoreticalArrivalTime: exhausted, now: 100_000_000) else {
            Issue.record("none may come")
            return
        }
    }
}
