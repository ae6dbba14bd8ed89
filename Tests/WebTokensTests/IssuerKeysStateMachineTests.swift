import GatewayCore
import NIOCore
import Testing

@testable import WebTokens

@Suite struct IssuerKeysStateMachineTests {
    private var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private var machine: IssuerKeysStateMachine

    init() {
        machine = IssuerKeysStateMachine(now: now)
    }

    /// A fetch that takes no time.
    private mutating func fetch(succeeds: Bool = true) {
        expectFetch(true, at: now)
        if succeeds { machine.succeeded(random: 0.5, now: now) } else { machine.failed(random: 0.5, now: now) }
    }

    private mutating func expectFetch(
        _ isExpected: Bool, at time: NIODeadline, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let isDue = machine.timeTriggered(now: time) == .fetch
        #expect(isDue == isExpected, sourceLocation: sourceLocation)
    }

    private mutating func expectWait(
        _ isExpected: Bool, at time: NIODeadline, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let isWaiting = machine.hurry(now: time)
        #expect(isWaiting == isExpected, sourceLocation: sourceLocation)
    }

    /// Goes to the moment of the next fetch.
    private mutating func wait() {
        guard case .waitUntil(let due) = machine.timeTriggered(now: now) else {
            #expect(Bool(false), "a fetch is under way")
            return
        }
        now = due
    }

    @Test mutating func `keys are fetched every five minutes`() {
        fetch()
        for _ in 0..<10 {
            let before = now
            wait()
            #expect(now - before == .minutes(5))
            fetch()
        }
    }

    @Test mutating func `a fetch is under way once`() {
        expectFetch(true, at: now)
        expectFetch(false, at: now + .hours(1))
    }

    @Test mutating func `an issuer that is down for an hour is asked less often`() {
        fetch()
        wait()
        let start = now
        var fetches = 0
        while now - start < .hours(1) {
            fetch(succeeds: false)
            fetches += 1
            wait()
        }
        #expect((60...120).contains(fetches) && machine.isFailing)
        fetch()
        #expect(!machine.isFailing)
    }

    @Test mutating func `a new key is fetched at once, and at most once a second`() {
        fetch()
        now = now + .seconds(60)
        #expect(machine.retryAfter(now: now) != nil)
        expectWait(true, at: now)
        fetch()
        #expect(machine.retryAfter(now: now) == nil)
        // Made up ones, as often as somebody likes.
        var fetches = 0
        let start = now
        while now - start < .seconds(60) {
            now = now + .milliseconds(10)
            expectWait(true, at: now)
            if machine.timeTriggered(now: now) == .fetch {
                machine.succeeded(random: 0.5, now: now)
                fetches += 1
            }
            #expect(machine.retryAfter(now: now) == nil)
        }
        #expect((55...60).contains(fetches))
    }

    @Test mutating func `without keys everybody waits for the first`() {
        expectWait(true, at: now)
        expectFetch(true, at: now)
        expectWait(true, at: now + .seconds(2))
        // One that takes long is not waited for, and its outcome is not known.
        expectWait(false, at: now + .seconds(4))
        #expect(machine.retryAfter(now: now + .seconds(4)) == .seconds(1))
    }

    @Test mutating func `while fetches fail nobody waits for one that is not due`() {
        for _ in 0..<8 {
            fetch(succeeds: false)
            wait()
        }
        fetch(succeeds: false)
        expectWait(false, at: now)
        #expect(machine.retryAfter(now: now).map { $0 > .seconds(30) && $0 <= .seconds(60) } == true)
        // Once a second one is tried, so that service is back soon.
        now = now + .seconds(1)
        expectWait(true, at: now)
        fetch()
        #expect(machine.retryAfter(now: now) == nil)
    }

    @Test mutating func `what the issuer said long ago is not its last word`() {
        fetch()
        #expect(machine.retryAfter(now: now) == nil)
        #expect(machine.retryAfter(now: now + .seconds(4)) != nil)
    }
}
