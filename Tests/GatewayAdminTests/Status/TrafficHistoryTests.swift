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
        #expect(point.regions["NA"] == TrafficHistory.Region(answered: 0, refused: 0))
    }

    @Test func `a region to which most messages fail is named, and so is what they get`() throws {
        var history = TrafficHistory(limit: 20)
        history.add(instruments(), time: 0)
        history.add(instruments(accepted: 6, refused: 4), time: 2)
        #expect(RegionTrouble.all(in: history.points).isEmpty, "most are accepted")
        history.add(instruments(accepted: 8, refused: 40), time: 4)
        let trouble = try #require(RegionTrouble.all(in: history.points).first)
        #expect(trouble.region == .europe && trouble.status == "429")
        #expect(trouble.text == "95 % of the messages to region EU fail, mostly with 429")
        // Half a minute later, nothing has happened any more.
        for time in 5...40 { history.add(instruments(accepted: 8, refused: 40), time: Double(time)) }
        #expect(RegionTrouble.all(in: history.points).isEmpty)
    }

    @Test func `what the gateway answers for a region counts, and what is the message's own fault does not`() {
        func trouble(_ answer: Response) -> [RegionTrouble] {
            var (history, instruments) = (TrafficHistory(limit: 20), ForwardingInstruments())
            history.add(instruments, time: 0)
            history.add(instruments, time: 1)
            for _ in 0..<20 { instruments.count(answer, 0.01) }
            history.add(instruments, time: 2)
            return RegionTrouble.all(in: history.points)
        }
        #expect(trouble(Response(.refusal(.outcomeUnknownEarlier), region: .europe)).map(\.status) == ["504"])
        #expect(trouble(Response(.upstream(.init(status: 403)), region: .europe)).map(\.status) == ["403"])
        #expect(trouble(Response(.upstream(.init(status: 404)), region: .europe)).isEmpty)
        #expect(trouble(Response(.refusal(.idempotencyKeyReused), region: .europe)).isEmpty)
    }

    @Test func `one word says how it stands, and sentences why`() {
        func readiness(
            token: String = "valid", problem: String? = nil, draining: Bool = false, circuit: CircuitState = .closed,
            up: Bool = true, problems: [String] = [], isReloadRefused: Bool = false
        ) -> Readiness {
            Readiness(
                draining: draining, skills: [.init(skill: "s", token: token, problem: problem)],
                regions: [.init(region: "NA", circuit: circuit)],
                store: .init(kind: "redis", up: up, problems: problems), isReloadRefused: isReloadRefused)
        }
        #expect(readiness().state == .ready && readiness().reasons.isEmpty && !readiness().degraded)
        #expect(readiness(token: "none").state == .notReady && !readiness(token: "none").ready)
        #expect(readiness(token: "expired").state == .degraded && readiness(token: "expired").ready)
        #expect(
            readiness(token: "expired", problem: "it is late").reasons == ["skill s has no valid token: it is late"])
        #expect(readiness(problem: "it is wrong").reasons == ["skill s gets no new token: it is wrong"])
        #expect(readiness(circuit: .halfOpen).reasons == ["region NA is not responding (circuit half-open)"])
        #expect(readiness(draining: true).state == .draining && !readiness(draining: true).ready)
        for degraded in [
            readiness(problem: "it is wrong"), readiness(circuit: .open), readiness(up: false),
            readiness(problems: ["it is full"]), readiness(isReloadRefused: true),
        ] {
            #expect(degraded.state == .degraded && degraded.ready && degraded.reasons.count == 1)
        }
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
    mutating func count(_ answer: Response, _ seconds: Double, caller: Int? = nil) {
        messageBegan()
        messageFinished(Labels(caller: caller, region: answer.region), answer, seconds: seconds)
    }
}
