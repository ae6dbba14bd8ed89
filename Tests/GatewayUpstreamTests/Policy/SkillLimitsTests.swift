import NIOCore
import Testing

@testable import GatewayUpstream

struct SkillLimitsTests {
    private var limits = SkillLimits<String>(maximum: 256, InFlightLimit.Configuration(), standing: .seconds(1))
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    /// How many more of the skill's messages may be in flight.
    private mutating func room(for skill: Int) -> Int {
        var room = 0
        while room < 1000 && limits.enter(skill) { room += 1 }
        return room
    }

    /// With so many in flight, of which so many are answered 429.
    private mutating func throttle(_ skill: Int, inFlight: Int) {
        for _ in 0..<inFlight { _ = limits.enter(skill) }
        for _ in 0..<10 { limits.throttled(skill, now: start) }
    }

    @Test mutating func `429 limits the skill that drew it, and no other`() {
        throttle(1, inFlight: 10)
        #expect(room(for: 1) == 0)
        #expect(room(for: 0) == 1000)
        #expect(room(for: 2) == 1000)
    }

    @Test mutating func `those above the limit take turns, each when one of its skill is done`() {
        throttle(0, inFlight: 10)
        _ = limits.enter(1)
        for (waiter, owner) in [("a1", 0), ("a2", 0), ("b1", 1)] { limits.wait(waiter, skill: 0, owner: owner) }
        #expect(limits.waiting == 3)
        #expect(limits.leave(1) == nil)
        // Ten in flight, and seven may be.
        for _ in 0..<3 { #expect(limits.leave(0) == nil) }
        #expect(limits.leave(0) == "a1")
        #expect(limits.leave(0) == "b1")
        #expect(limits.leave(0) == "a2")
        #expect(limits.leave(0) == nil && limits.waiting == 0)
    }

    @Test mutating func `answers raise the limit, and those that wait go on`() {
        throttle(0, inFlight: 10)
        for waiter in ["a", "b"] { limits.wait(waiter, skill: 0, owner: 0) }
        #expect(limits.nextWaiter(of: 0) == nil)
        limits.answered(0, now: start + .seconds(1))
        #expect(limits.nextWaiter(of: 0) == "a")
        #expect(limits.nextWaiter(of: 0) == "b")
        #expect(limits.nextWaiter(of: 0) == nil)
    }

    @Test mutating func `a queue stands once it has not been empty for a while, each skill's by itself`() {
        throttle(0, inFlight: 10)
        throttle(1, inFlight: 10)
        let atStart = limits.joinsStandingQueue(of: 0, now: start)
        limits.wait("a", skill: 0, owner: 0)
        let before = limits.joinsStandingQueue(of: 0, now: start + .milliseconds(999))
        let then = limits.joinsStandingQueue(of: 0, now: start + .seconds(1))
        let ofAnother = limits.joinsStandingQueue(of: 1, now: start + .seconds(1))
        _ = limits.removeWaiters { _ in true }
        let onceEmpty = limits.joinsStandingQueue(of: 0, now: start + .seconds(2))
        #expect([atStart, before, then, ofAnother, onceEmpty] == [false, false, true, false, false])
    }

    @Test mutating func `those whose time is up are taken out`() {
        throttle(0, inFlight: 10)
        for waiter in ["a", "b", "c"] { limits.wait(waiter, skill: 0, owner: 0) }
        #expect(limits.removeWaiters { $0 != "b" } == ["a", "c"])
        #expect(limits.waiting == 1 && Array(limits.waiters) == ["b"])
    }
}
