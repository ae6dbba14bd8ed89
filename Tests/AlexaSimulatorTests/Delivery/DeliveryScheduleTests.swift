import Testing

@testable import AlexaSimulator

struct DeliveryScheduleTests {
    /// When attempts are due that all fail, in seconds.
    private func attempts(expirySeconds: Int) -> [Duration] {
        var schedule = DeliverySchedule(expiry: .seconds(expirySeconds))
        var due: [Duration] = []
        while let next = schedule.next {
            due.append(next)
            schedule.attemptFailed()
        }
        return due
    }

    @Test func `the first attempt is at once, the others after pauses of 30 s that double`() {
        #expect(attempts(expirySeconds: 3600) == [0, 30, 90, 210, 450, 930, 1890].map { .seconds($0) })
    }

    @Test func `an attempt at the very end is made, a later one is not`() {
        #expect(attempts(expirySeconds: 90) == [0, 30, 90].map { .seconds($0) })
        #expect(attempts(expirySeconds: 89) == [0, 30].map { .seconds($0) })
        #expect(attempts(expirySeconds: 60) == [0, 30].map { .seconds($0) })
    }

    @Test func `a day holds twelve attempts`() {
        #expect(attempts(expirySeconds: 86_400).count == 12)
    }

    @Test func `nothing is due after the last`() {
        var schedule = DeliverySchedule(expiry: .seconds(60))
        for _ in 0..<5 { schedule.attemptFailed() }
        #expect(schedule.next == nil)
    }
}
