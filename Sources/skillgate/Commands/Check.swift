import ArgumentParser

struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Reads a configuration and its secrets, and reports every problem with its line and column.")

    @Option(help: "The configuration file (YAML).", completion: .configuration)
    var config: String

    @Option(
        help: "The configuration in force; warns of callers and skills whose idempotency keys would be forgotten.",
        completion: .file())
    var against: String?

    @Flag(help: "Prints the effective configuration, including defaults and overrides, without secrets.")
    var print = false

    func run() async throws {
        let configuration = try await ConfigurationFile.read(config)
        if let against {
            let forgotten = configuration.forgottenKeys(since: try await ConfigurationFile.read(against))
            for sentence in forgotten { StandardError.write("warning: \(sentence)\n") }
        }
        if print { return Swift.print(try configuration.printed(), terminator: "") }
        Swift.print(
            "\(config): valid; \(configuration.skills.count) skill(s), \(configuration.callers.count) caller(s), "
                + "\(configuration.listeners.count) listener(s)")
    }
}
