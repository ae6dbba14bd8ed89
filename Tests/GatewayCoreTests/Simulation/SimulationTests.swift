import FlowSimulation
import Testing

/// A short run of what `Tests/simulation` runs at any length.
@Suite struct SimulationTests {
    @Test func `whatever goes wrong, no invariant is broken`() throws {
        var (acceptedAgain, proven) = (0, 0)
        for seed in 1...1_000 as ClosedRange<UInt64> {
            let report = try Simulation(seed: seed).run()
            #expect(report.violations.isEmpty, "Tests/simulation --seeds 1 --from \(seed) --trace")
            acceptedAgain += report.acceptedAgain
            proven += report.provenByReceipt
        }
        #expect(proven > 10, "receipts settle what is unknown")
        #expect(acceptedAgain > 10, "windows end, too")
    }

    @Test func `with records in files, neither`() throws {
        for seed in 1...1_000 as ClosedRange<UInt64> {
            let report = try Simulation(seed: seed, disk: .good).run()
            #expect(report.violations.isEmpty, "Tests/simulation --store file --seeds 1 --from \(seed) --trace")
        }
    }

    @Test func `a disk that forgets what it has confirmed is found out`() throws {
        let found = try (1...1_000 as ClosedRange<UInt64>).contains { seed in
            try Simulation(seed: seed, disk: .forgetful).run().violations.contains { $0.hasPrefix("invariant 1:") }
        }
        #expect(found)
    }

    @Test func `the same seed gives the same course of events`() throws {
        func trace(_ seed: UInt64) throws -> [String] {
            var events: [String] = []
            let simulation = Simulation(seed: seed)
            simulation.trace { events.append($0) }
            _ = try simulation.run()
            return events
        }
        for seed in 1...20 as ClosedRange<UInt64> {
            let events = try trace(seed)
            #expect(events.count > 5)
            #expect(try trace(seed) == events)
        }
    }

    @Test(
        arguments: [
            ("a lease that ends frees the key", .lease, 1), ("an old connection's commands come late", .unfenced, 10),
            ("a failover loses what was confirmed", .forgetful, 1),
        ] as [(String, StoreDesign, Int)])
    func `a design that is known to fail is found out`(name: String, design: StoreDesign, invariant: Int) throws {
        let found = try (1...4_000 as ClosedRange<UInt64>).contains { seed in
            try Simulation(seed: seed, design: design).run().violations.contains {
                $0.hasPrefix("invariant \(invariant):")
            }
        }
        #expect(found)
    }
}
