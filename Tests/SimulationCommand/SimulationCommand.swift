import ArgumentParser
import FlowSimulation

@main struct SimulationCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulation", abstract: "Runs the whole flow in virtual time, once for each seed.")

    @Option(help: "How many seeds.")
    var seeds = 200_000

    @Option(help: "The first seed. With --seeds 1 a course of events is seen again.")
    var from: UInt64 = 1

    @Option(help: "Where records are: redis, or file.")
    var store = Store.redis

    enum Store: String, ExpressibleByArgument { case redis, file }

    @Flag(help: "Prints every event.")
    var trace = false

    func run() throws {
        var (requests, sends, accepted, acceptedAgain, proven, deaths, failed) = (0, 0, 0, 0, 0, 0, 0)
        var answers: [Int: Int] = [:]
        for offset in 0..<UInt64(max(0, seeds)) {
            let seed = from &+ offset
            let simulation = store == .redis ? Simulation(seed: seed) : Simulation(seed: seed, disk: .good)
            if trace { simulation.trace { print($0) } }
            let report = try simulation.run()
            requests += report.requests
            sends += report.sends
            accepted += report.accepted
            acceptedAgain += report.acceptedAgain
            proven += report.provenByReceipt
            deaths += report.deaths
            answers.merge(report.answers, uniquingKeysWith: +)
            guard !report.violations.isEmpty else { continue }
            failed += 1
            print("seed \(report.seed):")
            for violation in report.violations { print("  \(violation)") }
        }
        let statuses = answers.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
        print(
            "\(seeds) seeds, \(requests) requests, \(sends) sends, \(accepted) accepted, \(acceptedAgain) of them behind the window of an equal one, \(proven) known by a receipt alone, \(deaths) kills, answers by "
                + "status \(statuses), \(failed) seeds with violations")
        if failed > 0 { throw ExitCode.failure }
    }
}
