import Testing

@testable import GatewayAdmin
@testable import GatewayCore

struct RecentTrafficTests {
    private var recent = RecentTraffic()
    private var instruments = ForwardingInstruments()

    private mutating func count(_ source: Response, caller: Int, times: Int = 1) {
        for _ in 0..<times { instruments.count(source, 0.02, caller: caller) }
    }

    private mutating func look(at time: Double) { recent.add(instruments, time: time) }

    @Test mutating func `callers are told apart, by who answered them`() {
        look(at: 1000)
        count(Response(.upstream(.init(status: 202)), region: .europe), caller: 0, times: 5)
        count(Response(.upstream(.init(status: 429)), region: .europe), caller: 0, times: 2)
        count(Response(.upstream(.init(status: 202)), region: .europe, isReplay: true), caller: 0)
        count(Response(.refusal(.idempotencyKeyReused), region: .europe), caller: 1, times: 3)
        look(at: 1010)
        let callers = recent.callers()
        #expect(callers[0]?.answered == 8 && callers[0]?.refusedByAmazon == 2 && callers[0]?.replayed == 1)
        #expect(callers[0]?.refusedHere == 0)
        #expect(callers[1]?.answered == 3 && callers[1]?.refusedHere == 3)
        #expect(callers[2] == nil)
        #expect(recent.regions()[.europe].answers == [202: 5, 429: 2])
        #expect(recent.regions()[.northAmerica].answers == [:] && recent.regions()[.northAmerica].p99 == nil)
        #expect((0.01...0.025).contains(recent.regions()[.europe].median ?? 0))
    }

    @Test mutating func `what is older than a minute is left out, and when a caller was seen is kept`() {
        look(at: 0)
        count(Response(.upstream(.init(status: 202)), region: .europe), caller: 0)
        for time in stride(from: 2.0, through: 200, by: 2) { look(at: time) }
        #expect(recent.callers() == [:])
        #expect(recent.regions()[.europe].answers == [:])
        #expect((50...60).contains(recent.span))
        #expect(recent.lastSeen == [0: 2])
    }

    @Test mutating func `nothing is told before the second look, and none of a clock that was set back`() {
        count(Response(.upstream(.init(status: 202)), region: .europe), caller: 0)
        look(at: 1000)
        #expect(recent.span == 0 && recent.callers() == [:])
        look(at: 10)
        #expect(recent.span == 0 && recent.callers() == [:])
    }
}
