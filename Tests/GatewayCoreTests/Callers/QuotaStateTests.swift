import NIOCore
import Testing

@testable import GatewayCore

@Suite struct QuotaStateTests {
    /// One that wants far too much, and nine that want little.
    private static let flooded = [2000] + Array(repeating: 10, count: 9)

    private static let spreads: [(String, @Sendable (Int, Int) -> Int)] = [
        ("evenly", { _, number in number }),
        (
            "the flood comes to one replica, the others to the rest",
            { caller, number in caller == 0 ? 0 : 1 + number % 2 }
        ),
        ("all to one", { _, _ in 0 }),
        ("each caller has its replica", { caller, _ in caller }),
        ("in turns", { _, number in number / 500 }),
    ]

    @Test(arguments: 0..<5, [1, 3]) func `a flood costs the others nothing`(spread: Int, replicas: Int) {
        var skill = ThrottledSkill(
            quota: 200, rates: Self.flooded, replicas: replicas, spread: Self.spreads[spread].1)
        skill.run(seconds: 60)
        let quiet = skill.outcomes.dropFirst()
        #expect(quiet.allSatisfy { $0.throttled == 0 && $0.refused == 0 }, "\(Self.spreads[spread].0)")
        // But for those of the last moment that wait.
        #expect(quiet.allSatisfy { (598...600).contains($0.accepted) })
        // What is left of the quota, 110 a second, is used; less where the flood jumps from replica to replica.
        let least = spread == 4 && replicas > 1 ? 45 : 75
        #expect((least * 60...111 * 60).contains(skill.outcomes[0].accepted))
        // Once it is known what Amazon takes, it is hardly asked for more, and nearly every message is sent once.
        skill.forgetOutcomes()
        skill.run(seconds: 60)
        #expect(skill.outcomes.dropFirst().map(\.sentAgain).reduce(0, +) < 27)
        #expect(skill.outcomes[0].throttled < 120)
        #expect((least * 60...111 * 60).contains(skill.outcomes[0].accepted))
    }

    @Test func `callers that all want more are served by their weight`() {
        var skill = ThrottledSkill(quota: 400, rates: [1000, 1000, 50], weights: [3, 1, 1], replicas: 2)
        skill.run(seconds: 5)
        skill.forgetOutcomes()
        skill.run(seconds: 60)
        let (large, small, quiet) = (skill.outcomes[0], skill.outcomes[1], skill.outcomes[2])
        #expect(quiet.accepted >= 2_990)
        let ratio = Double(large.accepted) / Double(small.accepted)
        #expect((2.7...3.3).contains(ratio))
        #expect((300 * 60...350 * 60).contains(large.accepted + small.accepted))
    }

    @Test func `a caller that is alone gets Amazon's answers`() {
        var skill = ThrottledSkill(quota: 100, rates: [500, 0])
        skill.run(seconds: 30)
        #expect(skill.outcomes[0].refused == 0)
        #expect(skill.outcomes[0].accepted == 100 * 30)
    }

    @Test func `what Amazon refuses one caller for other reasons takes nothing from the others`() {
        // Ten of a hundred of its messages, whoever else sends: as for a user who got too many.
        var skill = ThrottledSkill(quota: 10_000, rates: [100, 500, 20], replicas: 2)
        skill.isOfItself = { caller, number in caller == 0 && number.isMultiple(of: 10) }
        skill.run(seconds: 60)
        #expect(skill.outcomes[1] == ThrottledSkill.Outcomes(accepted: 500 * 60))
        #expect(skill.outcomes[2] == ThrottledSkill.Outcomes(accepted: 20 * 60))
        #expect(skill.outcomes[0].refused == 0)
        #expect(skill.outcomes[0].throttled > 500)
    }

    @Test(arguments: [1, 3])
    func `429s that come however little is sent hold nobody back for long`(replicas: Int) {
        var skill = ThrottledSkill(quota: 10_000, rates: [200, 200, 50], replicas: replicas)
        skill.isOfItself = { caller, number in (number + caller).isMultiple(of: 25) }
        skill.run(seconds: 60)
        let all = skill.outcomes.map(\.all).reduce(0, +)
        let refused = skill.outcomes.map(\.refused).reduce(0, +)
        #expect(refused * 20 < all, "\(refused) of \(all)")
        #expect(skill.outcomes.allSatisfy { $0.accepted * 100 > $0.all * 90 })
    }

    @Test(arguments: [0, 1, 2])
    func `a caller that draws 429s of its own lowers nobody's share, after a flood neither`(attacker: Int) {
        // Caller 0 floods for two seconds, so that everybody has drawn 429s, and then sends to one user who gets too much.
        var skill = ThrottledSkill(quota: 60, rates: [150, 20, 5], replicas: 2)
        skill.run(seconds: 3)
        skill.rates = [3, 20, 5]
        skill.isOfItself = { caller, _ in caller == attacker && attacker != 1 }
        skill.run(seconds: 5)
        skill.forgetOutcomes()
        skill.run(seconds: 60)
        #expect(skill.outcomes[1] == ThrottledSkill.Outcomes(accepted: 20 * 60))
    }

    @Test(arguments: Array(0..<20))
    func `whenever a flood begins, the other callers are not refused`(tenths: Int) {
        var skill = ThrottledSkill(quota: 40, rates: [0, 15, 2])
        for _ in 0..<tenths { skill.run(milliseconds: 50) }
        skill.rates[0] = 80
        skill.run(seconds: 20)
        // It wants nearly its share, 17 of the 36 that remain with the margin.
        #expect(skill.outcomes[1].refused + skill.outcomes[1].throttled <= 2)
        #expect(skill.outcomes[1].accepted >= 15 * 20 - 4)
        #expect(skill.outcomes[0].accepted > 12 * 20)
    }

    @Test func `a quota that grows or shrinks is followed`() throws {
        var skill = ThrottledSkill(quota: 200, rates: [1000, 10], replicas: 2)
        skill.run(seconds: 10)
        skill.quota = 50
        skill.run(seconds: 10)
        let low = try #require(skill.states[0]?.perSecond)
        #expect((20...55).contains(low))
        skill.forgetOutcomes()
        skill.run(seconds: 10)
        #expect(skill.outcomes[1].accepted >= 98)
        skill.quota = 400
        skill.run(seconds: 60)
        let high = try #require(skill.states[1]?.perSecond)
        #expect((300...420).contains(high))
        // Nothing at all is taken for a while.
        skill.quota = 0
        skill.run(seconds: 10)
        skill.quota = 200
        skill.run(seconds: 70)
        let again = try #require(skill.states[0]?.perSecond)
        #expect((150...215).contains(again))
    }

    @Test func `once nobody wants too much, the skill is forgotten`() {
        var skill = ThrottledSkill(quota: 200, rates: Self.flooded, replicas: 2)
        skill.run(seconds: 10)
        skill.rates[0] = 10
        skill.run(seconds: 5)
        skill.forgetOutcomes()
        skill.run(seconds: 70)
        #expect(skill.states.allSatisfy { $0 == nil })
        #expect(skill.outcomes[0].accepted == 700)
    }

    @Test func `without the store each replica goes on with what it knew, then for itself`() {
        var skill = ThrottledSkill(quota: 200, rates: Self.flooded, replicas: 3)
        skill.run(seconds: 10)
        skill.canExchange = false
        skill.forgetOutcomes()
        skill.run(seconds: 60)
        let quiet = skill.outcomes.dropFirst()
        #expect(quiet.allSatisfy { $0.throttled + $0.refused == 0 && $0.accepted >= 595 })
        #expect((60 * 60...111 * 60).contains(skill.outcomes[0].accepted))
    }

    @Test func `few messages are held, and only until it is known who drew the 429s`() {
        let (start, caller) = (NIODeadline.uptimeNanoseconds(1_000_000_000), Caller(index: 3, name: "x", skills: [0]))
        var state = QuotaState(letThrough: 9, isShared: true, hasReplicas: false, now: start)
        #expect(state.verdict(on: caller, now: start) == .forward)
        for _ in 0..<64 {
            _ = state.admit(caller, now: start)
            let isHeld = state.hold(caller)
            #expect(isHeld)
        }
        let oneMore = state.hold(caller)
        state.release(caller)
        let anotherOne = state.hold(caller)
        #expect(!oneMore && anotherOne)
        #expect(state.verdict(on: caller, now: start) == .undecided(until: start + .milliseconds(500)))
        #expect(state.verdict(on: caller, hasWaited: true, now: start + .seconds(1)) == .sendAgain)
        // Whoever draws most of them is not held at all.
        for _ in 0..<8 { state.answered(caller, isThrottled: true) }
        #expect(state.verdict(on: caller, now: start) != .forward)
        state.answered(caller, isThrottled: true)
        #expect(state.verdict(on: caller, now: start) == .forward)
    }

    @Test func `nothing waits where nothing is taken, or nobody else sends`() {
        let (start, caller) = (NIODeadline.uptimeNanoseconds(1_000_000_000), Caller(index: 3, name: "x", skills: [0]))
        for (letThrough, isShared) in [(0, true), (9, false)] {
            var state = QuotaState(letThrough: letThrough, isShared: isShared, hasReplicas: false, now: start)
            _ = state.admit(caller, now: start)
            for seconds in [0, 1, 2] as [Int64] {
                #expect(state.verdict(on: caller, hasWaited: true, now: start + .seconds(seconds)) == .forward)
            }
        }
    }

    @Test func `a report is read as it was written, and nothing else is`() {
        let callers = [
            QuotaReport.Caller(id: "a", weight: 2, wanted: 12.5, letThrough: 3, throttled: 4, isThrottled: true),
            QuotaReport.Caller(id: "b", weight: 1, wanted: 0.25, letThrough: 0, throttled: 0, isThrottled: false),
        ]
        for report in [
            QuotaReport(), QuotaReport(estimate: 190.125, callers: callers), QuotaReport(callers: callers),
        ] {
            #expect(QuotaReport(report.text) == report)
        }
        #expect(
            QuotaReport(estimate: 190, noise: 0.03, noiseLeft: 500, letThrough: 7, throttled: 8, callers: callers).text
                == "190000 30 500 7 8 a 2 12500 3 4 1 b 1 250 0 0 0")
        for text in [
            "", "x", "0 0 0 0", "-1 0 0 0 0", "0 0 0 0 x", "0 0 0 0 0 a", "0 0 0 0 0 a 0 1 1 1 0",
            "0 0 0 0 0 a 1 1 1 1",
            "0 0 0 0 0 a 1 -1 1 1 0", "0 0 0 0 0 a 1 1 1 1 0 b", "99999999999999 0 0 0 0",
            "0 0 0 0 0" + String(repeating: " a 1 1 1 1 0", count: 201),
        ] {
            #expect(QuotaReport(text) == nil, "\(text)")
        }
    }

    @Test(
        arguments: [
            // Less than there is: everybody gets what it wants.
            (100.0, [30.0, 20], [1.0, 1], [nil, nil]),
            (100, [200, 20], [1, 1], [80, nil]),
            (100, [200, 200], [3, 1], [75, 25]),
            (100, [200, 10, 35, 300], [1, 1, 1, 1], [30, nil, 30, 30]),
            (100, [200], [1], [100]),
            (0, [1, 1], [1, 1], [0, 0]),
            (100, [], [], []),
        ] as [(Double, [Double], [Double], [Double?])])
    func `what one does not want goes to the others`(
        total: Double, wanted: [Double], weights: [Double], shares: [Double?]
    ) {
        let demands = zip(wanted, weights).map { FairShares.Demand(wanted: $0, weight: $1) }
        #expect(FairShares.divide(total, among: demands) == shares)
    }
}

@Suite struct RecentCountTests {
    @Test func `what is a second old counts no more`() {
        let count = RecentCount()
        let start = NIODeadline.uptimeNanoseconds(5_000_000_000)
        #expect(count.value(now: start) == 0)
        for millisecond in 0..<1000 { count.count(now: start + .milliseconds(Int64(millisecond))) }
        #expect(count.value(now: start + .milliseconds(999)) == 1000)
        // Evenly over its second: half of them are over.
        #expect(count.value(now: start + .milliseconds(1500)) == 500)
        count.count(now: start + .milliseconds(1500))
        #expect(count.value(now: start + .milliseconds(1500)) == 501)
        #expect(count.value(now: start + .seconds(2)) == 1)
        #expect(count.value(now: start + .seconds(3)) == 0)
        #expect(count.value(now: start + .seconds(1000)) == 0)
    }
}
