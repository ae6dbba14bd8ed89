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

    /// - Parameter retryAfter: nil: a fetch is waited for.
    private mutating func expectWait(
        _ retryAfter: Duration? = nil, at time: NIODeadline, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let found = machine.hurry(now: time)
        #expect(found == retryAfter, sourceLocation: sourceLocation)
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
        var (fetches, last) = (0, now)
        while now - start < .hours(1) {
            fetch(succeeds: false)
            fetches += 1
            last = now
            wait()
            #expect(now - last >= .seconds(1) && now - last <= .seconds(60))
        }
        #expect((60...120).contains(fetches) && machine.isFailing)
        fetch()
        #expect(!machine.isFailing)
    }

    @Test mutating func `a new key is fetched at once, and at most once a second`() {
        fetch()
        now = now + .seconds(60)
        expectWait(at: now)
        fetch()
        // Made up ones, as often as somebody likes, and fetches that take a while.
        var (fetches, ends) = (0, now)
        let start = now
        while now - start < .seconds(60) {
            now = now + .milliseconds(10)
            expectWait(at: now)
            if machine.timeTriggered(now: now) == .fetch {
                fetches += 1
                ends = now + .milliseconds(500)
            } else if now == ends {
                machine.succeeded(random: 0.5, now: now)
            }
        }
        #expect((58...60).contains(fetches))
    }

    @Test mutating func `without keys everybody waits for the first`() {
        expectWait(at: now)
        expectFetch(true, at: now)
        expectWait(at: now + .seconds(2))
        // One that takes long is not waited for.
        expectWait(.seconds(1), at: now + .seconds(4))
    }

    @Test mutating func `while fetches fail, tokens bring about one every five seconds`() {
        for _ in 0..<8 {
            fetch(succeeds: false)
            wait()
        }
        var fetches = 0
        let start = now
        fetch(succeeds: false)
        while now - start < .seconds(60) {
            now = now + .milliseconds(10)
            let retryAfter = machine.hurry(now: now)
            #expect(retryAfter.map { $0 <= .seconds(5) } ?? true)
            if machine.timeTriggered(now: now) == .fetch {
                #expect(retryAfter == nil)
                machine.failed(random: 0.5, now: now)
                fetches += 1
            }
        }
        #expect((11...12).contains(fetches))
        now = now + .seconds(5)
        expectWait(at: now)
        fetch()
        expectWait(at: now)
    }
}
