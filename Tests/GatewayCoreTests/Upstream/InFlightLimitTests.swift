import NIOCore
import Testing

@testable import GatewayCore

struct InFlightLimitTests {
    private var limit = InFlightLimit(maximum: 256)
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    @Test mutating func `an overload leaves less than there was in flight`() {
        limit.overloaded(inFlight: 100, now: start)
        #expect(limit.current == 70 && limit.isReduced)
    }

    @Test mutating func `what was sent before a decrease does not decrease it again`() {
        for _ in 0..<50 { limit.overloaded(inFlight: 100, now: start + .milliseconds(199)) }
        #expect(limit.current == 70)
        limit.overloaded(inFlight: 70, now: start + .milliseconds(400))
        #expect(limit.current == 49)
    }

    @Test mutating func `some may always be in flight`() {
        for round in 0..<50 { limit.overloaded(inFlight: 1, now: start + .seconds(Int64(round))) }
        #expect(limit.current == 4)
    }

    @Test mutating func `a round of answers at the limit raises it by one, up to the maximum`() {
        limit.overloaded(inFlight: 10, now: start)
        #expect(limit.current == 7)
        for _ in 0..<8 { limit.answered(inFlight: 7) }
        #expect(limit.current == 8)
        for _ in 0..<100_000 { limit.answered(inFlight: 256) }
        #expect(limit.current == 256 && !limit.isReduced)
    }

    @Test mutating func `answers far below the limit do not raise it`() {
        limit.overloaded(inFlight: 100, now: start)
        for _ in 0..<1000 { limit.answered(inFlight: 20) }
        #expect(limit.current == 70)
    }

    @Test(arguments: [(429, true), (503, true), (202, false), (403, false), (500, false)])
    func `429 and 503 say that it was too much`(status: Int, isOverload: Bool) {
        #expect(InFlightLimit.isOverload(status: status) == isOverload)
    }

    @Test func `switched off, it stays`() {
        var configuration = InFlightLimit.Configuration()
        configuration.isAdaptive = false
        var limit = InFlightLimit(maximum: 10, configuration)
        limit.overloaded(inFlight: 10, now: start)
        #expect(limit.current == 10)
    }
}
