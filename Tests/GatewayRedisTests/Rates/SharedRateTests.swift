import Synchronization
import TestSupport
import Testing

@testable import GatewayCore

/// A rate of 100 a second over ten replicas, as Redis counts it, for a minute of virtual time.
@Suite(.serialized) struct SharedRateTests {
    enum Spread: CaseIterable {
        case evenly, toOne, nearlyToOne, toOneAfterTheOther

        func replica(_ number: Int) -> Int {
            switch self {
            case .evenly: number
            case .toOne: 0
            case .nearlyToOne: number.isMultiple(of: 30) ? number / 30 : 0
            case .toOneAfterTheOther: number / 300
            }
        }
    }

    private func with(
        perSecond: Int = 100, burst: Int = 100, replicas: Int = 10,
        _ body: (DeploymentInVirtualTime) throws -> Void
    ) async throws {
        let redis = try RedisProcess.plain()
        try await redis.start()
        do {
            let deployment = try DeploymentInVirtualTime(redis, perSecond: perSecond, burst: burst)
            deployment.add(replicas)
            try body(deployment)
        } catch {
            await redis.stop()
            throw error
        }
        await redis.stop()
    }

    @Test(arguments: Spread.allCases)
    func `however requests are spread, the rate is that of all together`(spread: Spread) async throws {
        try await with { deployment in
            let accepted = deployment.run(seconds: 60, perSecond: 300, spread: spread.replica)
            let commands = deployment.client.commands.load(ordering: .relaxed)
            #expect((5700...6300).contains(accepted), "\(spread)")
            #expect(Double(commands) / Double(accepted) <= 0.08, "\(commands) commands")
            #expect(deployment.longestRetryAfter < .seconds(3))
        }
    }

    @Test(arguments: Spread.allCases)
    func `nobody is refused below the rate, once each replica has its stock`(spread: Spread) async throws {
        try await with { deployment in
            _ = deployment.run(seconds: 10, perSecond: 90, spread: spread.replica)
            let accepted = deployment.run(seconds: 60, perSecond: 90, spread: spread.replica)
            #expect(accepted == 5400)
        }
    }

    @Test(arguments: Spread.allCases)
    func `replicas that are killed and added cost a lease each`(spread: Spread) async throws {
        try await with { deployment in
            let accepted = deployment.run(seconds: 60, perSecond: 300, spread: spread.replica) { second in
                guard second.isMultiple(of: 5), second > 0 else { return }
                deployment.kill(second.isMultiple(of: 2) ? 0 : 3)
                deployment.add()
            }
            #expect((5700...6300).contains(accepted), "\(spread)")
        }
    }

    @Test(arguments: Spread.allCases)
    func `while Redis is away, each replica goes on with its share`(spread: Spread) async throws {
        try await with { deployment in
            let accepted = deployment.run(seconds: 60, perSecond: 300, spread: spread.replica) { second in
                deployment.client.isAway.store((20..<23).contains(second), ordering: .relaxed)
                // It comes back empty.
                if second == 22 { deployment.forget() }
            }
            #expect((5700...6300).contains(accepted), "\(spread)")
            let byShare = deployment.replicas.compactMap(\.rates.statistics).reduce(0) { $0 + $1.rates.byShare }
            #expect(byShare > 500)
        }
    }

    @Test func `as many as the burst may come at once, all to one replica`() async throws {
        try await with { deployment in
            let first = deployment.run(seconds: 1, perSecond: 1, spread: { _ in 0 })
            #expect(first == 1)
            _ = deployment.run(seconds: 10, perSecond: 0, spread: { _ in 0 })
            let accepted = deployment.burst(200, to: 3)
            #expect((100...120).contains(accepted))
        }
    }

    @Test func `a reply that is lost takes nothing from the others`() async throws {
        try await with(perSecond: 1, burst: 1000, replicas: 2) { deployment in
            _ = deployment.burst(1, to: 0)
            deployment.client.isAway.store(true, ordering: .relaxed)
            _ = deployment.run(seconds: 2, perSecond: 5, spread: { _ in 0 })
            deployment.client.isAway.store(false, ordering: .relaxed)
            _ = deployment.run(seconds: 2, perSecond: 5, spread: { _ in 0 })
            let accepted = deployment.burst(1000, to: 1)
            #expect((970...1000).contains(accepted))
        }
    }

    @Test func `a burst is not kept by the replica that has the first requests`() async throws {
        try await with(perSecond: 100, burst: 20, replicas: 2) { deployment in
            let accepted = deployment.burst(2, to: 0) + deployment.burst(15, to: 1)
            #expect(accepted == 17)
        }
    }

    @Test func `another limit is not held against what came before it`() async throws {
        try await with(perSecond: 1, burst: 3600, replicas: 1) { deployment in
            let accepted = deployment.burst(2000, to: 0)
            #expect(accepted == 2000)
            deployment.use(perSecond: 10, burst: 10)
            let later = deployment.run(seconds: 10, perSecond: 20, spread: { _ in 0 })
            #expect((90...101).contains(later))
        }
    }

    @Test func `one that cannot wait uses up a permit of the next lease`() async throws {
        try await with(perSecond: 1, burst: 10, replicas: 1) { deployment in
            for _ in 0..<10 { try deployment.passAtOnce() }
            #expect(throws: CallerError.self) { for _ in 0..<2 { try deployment.passAtOnce() } }
        }
    }

    @Test func `a clock of the server that is put back, and a store that is emptied, change nothing`() async throws {
        try await with { deployment in
            let accepted = deployment.run(seconds: 60, perSecond: 300, spread: Spread.evenly.replica) { second in
                if second == 30 { deployment.client.skew.store(-3_600_000, ordering: .relaxed) }
                if second == 40 { deployment.forget() }
            }
            #expect((5700...6300).contains(accepted))
            #expect(deployment.longestRetryAfter < .seconds(3))
        }
    }

    @Test func `a rate of less than one for each replica holds, too`() async throws {
        try await with(perSecond: 3, burst: 1) { deployment in
            let accepted = deployment.run(seconds: 60, perSecond: 100, spread: Spread.evenly.replica)
            #expect((165...195).contains(accepted))
        }
    }
}
