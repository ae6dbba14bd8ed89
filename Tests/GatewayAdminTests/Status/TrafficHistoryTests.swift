import Testing

@testable import GatewayAdmin
@testable import GatewayCore

struct TrafficHistoryTests {
    /// Counters after so many answers of a region.
    private func instruments(
        accepted: Int = 0, refused: Int = 0, seconds: Double = 0.02, replayed: Int = 0
    ) -> ForwardingInstruments {
        var instruments = ForwardingInstruments()
        for _ in 0..<accepted { instruments.count(.init(.upstream(.init(status: 202)), region: .europe), seconds) }
        for _ in 0..<refused { instruments.count(.init(.upstream(.init(status: 429)), region: .europe), seconds) }
        for _ in 0..<replayed {
            instruments.count(.init(.upstream(.init(status: 202)), region: .europe, isReplay: true), seconds)
        }
        return instruments
    }

    @Test func `a point tells what passed since the look before`() throws {
        var history = TrafficHistory(limit: 10)
        history.add(instruments(accepted: 100), time: 1000)
        #expect(history.points.isEmpty)
        history.add(instruments(accepted: 104, refused: 2, replayed: 6), time: 1002)
        let point = try #require(history.points.first)
        #expect(point.time == 1002 && point.replayed == 3 && point.refusedHere == 0)
        let region = try #require(point.regions["EU"])
        #expect(region.answered == 3 && region.refused == 1)
        // Between the bounds of the one bucket that all of them fell into.
        #expect((0.01...0.025).contains(region.median ?? 0) && (0.01...0.025).contains(region.p99 ?? 0))
        #expect(point.regions["NA"] == TrafficHistory.Region(answered: 0, refused: 0, median: nil, p99: nil))
    }

    @Test func `the oldest points are forgotten`() {
        var history = TrafficHistory(limit: 3)
        for time in 0...10 { history.add(instruments(), time: Double(time)) }
        #expect(history.points.map(\.time) == [8, 9, 10])
    }

    @Test func `a clock that is set back makes no point`() {
        var history = TrafficHistory(limit: 3)
        history.add(instruments(), time: 100)
        history.add(instruments(accepted: 5), time: 90)
        #expect(history.points.isEmpty)
        history.add(instruments(accepted: 6), time: 91)
        #expect(history.points.map { $0.regions["EU"]?.answered } == [1])
    }
}

extension ForwardingInstruments {
    /// One message whose answer took so long.
    fileprivate mutating func count(_ answer: Answer, _ seconds: Double) {
        messageBegan()
        messageFinished(Labels(region: answer.region), answer, seconds: seconds)
    }
}
