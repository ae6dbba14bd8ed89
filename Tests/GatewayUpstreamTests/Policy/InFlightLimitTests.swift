import NIOCore
import Testing

@testable import GatewayUpstream

struct InFlightLimitTests {
    private var limit = InFlightLimit(maximum: 256)
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    /// As many complaints as it takes to be believed.
    private mutating func complain(inFlight: Int, at time: NIODeadline) {
        for _ in 0..<10 { limit.overloaded(inFlight: inFlight, now: time) }
    }

    @Test mutating func `an overload leaves less than there was in flight`() {
        complain(inFlight: 100, at: start)
        #expect(limit.current == 70 && limit.isReduced)
    }

    @Test mutating func `few complaints say nothing, nor do few of many`() {
        for _ in 0..<9 { limit.overloaded(inFlight: 2, now: start) }
        #expect(limit.current == 256)
        // A window later they are forgotten.
        for _ in 0..<9 { limit.overloaded(inFlight: 2, now: start + .seconds(11)) }
        #expect(limit.current == 256)
        for _ in 0..<1000 { limit.answered(inFlight: 200, now: start + .seconds(12)) }
        for _ in 0..<50 { limit.overloaded(inFlight: 200, now: start + .seconds(12)) }
        #expect(limit.current == 256)
    }

    @Test mutating func `what was sent before a decrease does not decrease it again`() {
        complain(inFlight: 100, at: start)
        for _ in 0..<50 { limit.overloaded(inFlight: 100, now: start + .milliseconds(199)) }
        #expect(limit.current == 70)
        limit.overloaded(inFlight: 70, now: start + .milliseconds(400))
        #expect(limit.current == 49)
    }

    @Test mutating func `some may always be in flight`() {
        for round in 0..<500 { limit.overloaded(inFlight: 1, now: start + .milliseconds(Int64(round * 250))) }
        #expect(limit.current == 4)
    }

    @Test mutating func `a round of answers at the limit raises it by one`() {
        complain(inFlight: 10, at: start)
        #expect(limit.current == 7)
        for _ in 0..<8 { limit.answered(inFlight: 7, now: start + .milliseconds(500)) }
        #expect(limit.current == 8)
    }

    @Test mutating func `answers far below the limit do not raise it at once`() {
        complain(inFlight: 100, at: start)
        for _ in 0..<1000 { limit.answered(inFlight: 20, now: start + .milliseconds(999)) }
        #expect(limit.current == 70)
    }

    @Test(arguments: [4, 70])
    mutating func `seconds of good answers bring it back, however few`(from reduced: Int) {
        limit.collapse(now: start)
        if reduced > 4 { complain(inFlight: 100, at: start) }
        var seconds = 0
        while limit.isReduced && seconds < 60 {
            seconds += 1
            limit.answered(inFlight: 1, now: start + .seconds(Int64(seconds)))
        }
        #expect(seconds <= 6 && limit.current == 256)
    }

    @Test mutating func `a complaint ends the doubling`() {
        limit.collapse(now: start)
        limit.answered(inFlight: 1, now: start + .seconds(1))
        #expect(limit.current == 8)
        limit.overloaded(inFlight: 8, now: start + .milliseconds(1900))
        limit.answered(inFlight: 1, now: start + .seconds(2))
        #expect(limit.current == 8)
        limit.answered(inFlight: 1, now: start + .milliseconds(2900))
        #expect(limit.current == 16)
    }

    @Test func `switched off, it stays`() {
        var configuration = InFlightLimit.Configuration()
        configuration.isAdaptive = false
        var limit = InFlightLimit(maximum: 10, configuration)
        for _ in 0..<100 { limit.overloaded(inFlight: 10, now: start) }
        limit.collapse(now: start)
        #expect(limit.current == 10)
    }
}
