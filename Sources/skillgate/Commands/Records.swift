import ArgumentParser

struct Records: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Looks after the idempotency records.", subcommands: [Adopt.self])

    struct Adopt: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Says that a Redis may be used as it is, on a first start or after its records were lost.",
            discussion: """
                For `idempotency.redis.onStoreWiped: hold`: until this is said, nothing is sent under keys that the store does not know. Messages \
                that were sent before the loss are sent again when they are retried. Changes nothing where no record was lost.
                """)

        @Option(help: "The configuration, a YAML file.")
        var config: String

        func run() async throws {
            let configuration = try await ConfigurationFile.read(config)
            guard let redis = configuration.idempotency.redis else {
                StandardError.write("the records of this configuration are not in Redis (`idempotency.store`)\n")
                throw ExitCode(ExitStatus.usage)
            }
            if let problem = await StoreAdoption.adopt(redis) {
                StandardError.write(problem + "\n")
                throw ExitCode(ExitStatus.unavailable)
            }
            print("the store is in use")
        }
    }
}
