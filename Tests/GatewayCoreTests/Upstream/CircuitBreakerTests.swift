import NIOCore
import Testing

@testable import GatewayCore

final class CircuitBreakerTests {
    private var circuit = CircuitBreaker()
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    /// Whether a failure then opens it.
    private func opens(at seconds: Double) -> Bool { circuit.failed(now: time(seconds)) }
    private func beginsProbe(at seconds: Double) -> Bool { circuit.beginProbe(now: time(seconds)) }
    private func closesWhenConnected() -> Bool { circuit.connected() }

    private func time(_ seconds: Double) -> NIODeadline { start + .nanoseconds(Int64(seconds * 1e9)) }

    @Test func `five failures in a row open it, four do not`() {
        for failure in 0..<4 { #expect(!opens(at: Double(failure))) }
        #expect(circuit.isClosed)
        let isOpened = opens(at: 4)
        #expect(isOpened && circuit.state == .open)
    }

    @Test func `an answer in between starts the row anew`() {
        for round in 0..<4 {
            for _ in 0..<4 { #expect(!opens(at: Double(round) * 11)) }
            circuit.answered()
        }
        #expect(circuit.isClosed)
    }

    @Test func `half of twenty within ten seconds open it`() {
        for round in 0..<9 {
            #expect(!opens(at: Double(round)))
            circuit.answered()
        }
        #expect(circuit.isClosed)
        circuit.answered()
        // The tenth failure of twenty outcomes.
        let isOpened = opens(at: 9)
        #expect(isOpened)
    }

    @Test func `as many over a longer time do not`() {
        for round in 0..<40 {
            #expect(!opens(at: Double(round) * 2))
            circuit.answered()
        }
        #expect(circuit.isClosed)
    }

    @Test func `fewer than half do not`() {
        for round in 0..<100 {
            #expect(!opens(at: Double(round) * 0.05))
            circuit.answered()
            circuit.answered()
        }
        #expect(circuit.isClosed)
    }

    @Test func `open, it tries one connection after a pause, and closes when that comes about`() {
        for _ in 0..<5 { _ = opens(at: 0) }
        #expect(circuit.retryAfter(now: start) == .seconds(1))
        #expect(!beginsProbe(at: 0.9))
        #expect(beginsProbe(at: 1) && circuit.state == .halfOpen)
        #expect(!beginsProbe(at: 2))
        #expect(closesWhenConnected() && circuit.isClosed)
        // And it takes five failures again.
        for _ in 0..<4 { #expect(!opens(at: 3)) }
    }

    @Test func `the pause doubles up to half a minute while nothing answers, and starts anew behind an answer`() {
        var now = 0.0
        for _ in 0..<5 { _ = opens(at: now) }
        for pause in [1.0, 2, 4, 8, 16, 30, 30, 30] {
            #expect(circuit.retryAfter(now: time(now)) == .seconds(pause))
            now += pause
            #expect(beginsProbe(at: now))
            #expect(opens(at: now))
        }
        #expect(closesWhenConnected())
        circuit.answered()
        for _ in 0..<5 { _ = opens(at: now) }
        #expect(circuit.retryAfter(now: time(now)) == .seconds(1))
    }

    @Test func `a region that takes connections and answers nothing is left alone for longer and longer`() {
        var now = 0.0
        for pause in [1.0, 2, 4] {
            for _ in 0..<5 { _ = opens(at: now) }
            #expect(circuit.retryAfter(now: time(now)) == .seconds(pause))
            now += pause
            #expect(beginsProbe(at: now))
            #expect(closesWhenConnected())
        }
    }

    @Test func `failures while it is open change nothing`() {
        for _ in 0..<5 { _ = opens(at: 0) }
        for _ in 0..<100 { #expect(!opens(at: 0.5)) }
        #expect(circuit.retryAfter(now: start) == .seconds(1))
    }

    @Test func `switched off, it never opens`() {
        var configuration = CircuitBreaker.Configuration()
        configuration.isEnabled = false
        var circuit = CircuitBreaker(configuration)
        for _ in 0..<100 { _ = circuit.failed(now: start) }
        #expect(circuit.isClosed)
    }
}
