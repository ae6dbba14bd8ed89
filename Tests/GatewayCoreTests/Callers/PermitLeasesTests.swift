import NIOCore
import Testing

@testable import GatewayCore

@Suite struct PermitLeasesTests {
    private let limit = RateLimit(perSecond: 100, burst: 100)
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test func `the first question is for those that wait, and the next for what will be needed`() throws {
        var leases = PermitLeases(limit)
        let first = leases.ask(limit, waiting: 3, atHand: 0, demand: 3, now: start)
        #expect(first == PermitRequest(limit: limit, wanted: 3, wasAway: false))
        #expect(leases.replied(PermitLease(permits: 3)) == .now(3))
        // Three more within three seconds: ten in ten.
        let second = leases.ask(limit, waiting: 1, atHand: 0, demand: 6, now: start + .seconds(3))
        #expect(second?.wanted == 10)
        _ = leases.replied(PermitLease(permits: 10))
        // However many come, no more than a fifth of a second of the rate is at hand.
        let third = leases.ask(limit, waiting: 0, atHand: 5, demand: 2000, now: start + .seconds(4))
        #expect(third?.wanted == 15)
    }

    @Test func `one question at a time, and none while permits are to come`() {
        var leases = PermitLeases(limit)
        func ask() -> PermitRequest? {
            leases.ask(limit, waiting: 1, atHand: 0, demand: 1, now: start)
        }
        #expect(ask() != nil)
        #expect(ask() == nil)
        #expect(leases.replied(PermitLease(permits: 7, wait: 50)) == .later(7, in: 50))
        #expect(ask() == nil)
        #expect(leases.arrived() == 7)
        #expect(leases.arrived() == nil)
        #expect(ask() != nil)
    }

    @Test func `the server is told of requests that it does not know of`() {
        var leases = PermitLeases(limit)
        func ask() -> PermitRequest? {
            leases.ask(limit, waiting: 0, atHand: 0, demand: 0, now: start)
        }
        #expect(ask()?.wasAway == false)
        leases.failed()
        #expect(ask()?.wasAway == true)
        _ = leases.replied(PermitLease(permits: 1))
        #expect(ask()?.wasAway == false)
    }

    @Test func `what was taken on credit is asked for besides`() {
        var leases = PermitLeases(limit)
        let request = leases.ask(limit, waiting: 0, atHand: -4, demand: 4, now: start)
        #expect(request?.wanted == 5)
    }

    @Test func `permits are used up once, and more are asked for when a quarter is left`() {
        let pool = PermitPool()
        #expect(pool.take(now: 0) == .none(wait: nil))
        pool.add(8, takenByNow: 0, now: 0)
        for taken in 1...8 { #expect(pool.take(now: 0) == .taken(isLow: taken == 6)) }
        #expect(pool.take(now: 0) == .none(wait: nil))
        pool.expect(at: 500)
        #expect(pool.take(now: 100) == .none(wait: 400))
        #expect(pool.demand == 9)
    }

    @Test func `permits that nobody has used for half a minute are given up`() {
        let pool = PermitPool()
        pool.add(8, takenByNow: 1, now: 0)
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
