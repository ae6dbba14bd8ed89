import GatewayCore
import NIOCore
import Testing

@testable import GatewayUpstream

final class CircuitBreakerTests {
    private var circuit = CircuitBreaker()
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    /// Whether a failure then opens it.
    private func opens(at seconds: Double) -> Bool { circuit.failed(now: time(seconds)) }
    private func change(at seconds: Double) -> CircuitBreaker.Change? { circuit.timePassed(now: time(seconds)) }
    private func closesByAnswer(at seconds: Double) -> Bool { circuit.probeAnswered(now: time(seconds)) }

    private func time(_ seconds: Double) -> NIODeadline { start + .nanoseconds(Int64(seconds * 1e9)) }

    @Test func `five failures in a row open it, four do not`() {
        for failure in 0..<4 { #expect(!opens(at: Double(failure))) }
        #expect(circuit.isClosed)
        let isOpened = opens(at: 4)
        #expect(isOpened && circuit.state == .open)
    }

    @Test func `an answer in between starts the row again`() {
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

    @Test func `open, it probes after a pause, and closes when the probe is answered`() {
        for _ in 0..<5 { _ = opens(at: 0) }
        #expect(circuit.retryAfter(now: start) == .seconds(1))
        #expect(change(at: 0.9) == nil)
        #expect(change(at: 1) == .probe && circuit.state == .halfOpen)
        #expect(change(at: 2) == nil)
        #expect(closesByAnswer(at: 2) && circuit.isClosed)
    }

    @Test func `nothing but the answer to a probe closes it`() {
        for _ in 0..<5 { _ = opens(at: 0) }
        #expect(!closesByAnswer(at: 0.1))
        circuit.answered()
        #expect(circuit.state == .open)
        // Somebody is there, though: worth a probe at once.
        #expect(change(at: 0.1) == .probe)
        circuit.answered()
        #expect(circuit.state == .halfOpen)
        #expect(closesByAnswer(at: 0.2))
    }

    @Test func `the pause doubles up to half a minute while no probe is answered`() {
        var now = 0.0
        for _ in 0..<5 { _ = opens(at: now) }
        for pause in [1.0, 2, 4, 8, 16, 30, 30, 30] {
            #expect(circuit.retryAfter(now: time(now)) == .seconds(pause))
            now += pause
            #expect(change(at: now) == .probe)
            circuit.probeFailed(now: time(now))
            #expect(circuit.state == .open)
        }
        now += 30
        #expect(change(at: now) == .probe)
        #expect(closesByAnswer(at: now))
        circuit.answered()
        for _ in 0..<5 { _ = opens(at: now) }
        #expect(circuit.retryAfter(now: time(now)) == .seconds(1))
    }

    @Test func `a region that answers probes and no messages stays half-open for longer and longer`() {
        var now = 0.0
        for _ in 0..<5 { _ = opens(at: now) }
        for pause in [0.0, 2, 4, 8, 16, 30, 30] {
            now += 1
            #expect(change(at: now) == .probe)
            #expect(closesByAnswer(at: now) == (pause == 0))
            if pause > 0 {
                #expect(circuit.state == .halfOpen)
                #expect(circuit.retryAfter(now: time(now)) == .seconds(pause))
                #expect(change(at: now + pause - 0.1) == nil)
                now += pause
                #expect(change(at: now) == .close)
            }
            #expect(circuit.isClosed)
            // One message is lost this time, not five.
            let isOpened = opens(at: now)
            #expect(isOpened)
        }
    }

    @Test func `a message that is answered ends the suspicion`() {
        for _ in 0..<5 { _ = opens(at: 0) }
        _ = change(at: 1)
        #expect(closesByAnswer(at: 1))
        circuit.answered()
        for _ in 0..<4 { #expect(!opens(at: 3)) }
        let isOpened = opens(at: 3)
        #expect(isOpened)
        #expect(change(at: 4) == .probe && closesByAnswer(at: 4))
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
