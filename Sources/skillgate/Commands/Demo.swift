import ArgumentParser

struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows the main job with a simulated Amazon: no network, no account.")

    @Flag(help: "Keeps simulator and gateway up afterwards, until interrupted.")
    var stay = false

    func run() async throws {
    }
}
