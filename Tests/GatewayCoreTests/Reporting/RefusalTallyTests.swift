import Testing

@testable import GatewayCore

struct RefusalTallyTests {
    private var tally = RefusalTally()

    private func kind(_ place: UInt32, _ problem: Problem = .notAuthenticated) -> RefusalTally.Kind {
        RefusalTally.Kind(place: .ipv4(place), problem: problem)
    }

    /// How many refusals from these places have a line of their own.
    private mutating func lines(of places: [UInt32]) -> Int {
        var lines = 0
        for place in places where tally.isFirst(kind(place), address: "a") { lines += 1 }
        return lines
    }

    @Test mutating func `the first of its kind has a line, and the others are counted`() {
        #expect(lines(of: [1, 1, 2, 1, 1, 1]) == 2)
        let others = tally.windowEnded()
        #expect(others == [.init(kind: kind(1), address: "a", count: 4)])
        #expect(tally.isEmpty)
        #expect(lines(of: [1]) == 1)
    }

    @Test mutating func `from however many places they come, the lines are bounded`() {
        #expect(lines(of: Array(0..<100_000)) == 1025)
        let others = tally.windowEnded()
        #expect(others.count == 1 && others[0].address == nil && others[0].count == 100_000 - 1025)
    }
}
