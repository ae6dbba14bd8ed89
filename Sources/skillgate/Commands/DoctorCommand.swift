import ArgumentParser

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Finds out what keeps messages from being sent, from this machine and with this configuration.",
        discussion: """
            Fetches a token for each skill, tries it in each region with a user that does not exist, looks at the clock and at the store. \
            Sends no message. The first line names the cause; exits with 0 if all is well, with 69 if not.
            """)

    @Option(help: "The configuration, a YAML file.")
    var config: String

    func run() async throws {
        var doctor = Doctor(try await ConfigurationFile.read(config))
        let diagnosis = await doctor.examine()
        print(diagnosis.text)
        if !diagnosis.isHealthy { throw ExitCode(ExitStatus.unavailable) }
    }
}
