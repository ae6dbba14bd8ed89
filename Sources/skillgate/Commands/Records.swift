import ArgumentParser

struct Records: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Manages the idempotency records.", subcommands: [Adopt.self])

    struct Adopt: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Declares that a Redis may be used as it is, on first start or after it has lost records.",
            discussion: """
                Needed with `idempotency.redis.onStoreWiped: hold`: until the store is adopted, nothing is sent under \
                keys that it does not know. Afterwards, retries of messages that were sent before the loss are sent \
                again. Changes nothing if no records were lost.
                """)

        @Option(help: "The configuration file (YAML).")
        var config: String

        func run() async throws {
            let configuration = try await ConfigurationFile.read(config)
            guard let redis = configuration.idempotency.redis else {
                StandardError.write("this configuration does not keep records in Redis (`idempotency.store`)\n")
                throw ExitCode(ExitStatus.usage)
            }
            if let problem = await StoreAdoption.adopt(redis) {
                StandardError.write(problem + "\n")
                throw ExitCode(ExitStatus.unavailable)
            }
            print("the store is adopted")
        }
    }
}
