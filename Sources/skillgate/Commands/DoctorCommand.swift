import ArgumentParser

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Diagnoses why messages cannot be sent from this machine with this configuration.",
        discussion: """
            Fetches a token for each skill, tries it in each region with a nonexistent user, and checks the clock and \
            the store. Sends no message. The first line of the output names the cause. Exits with 0 if no problem was \
            found, with 69 otherwise.
            """)

    @Option(help: "The configuration file (YAML).", completion: .configuration)
    var config: String
    @OptionGroup var listener: AdminListener

    func run() async throws {
        var doctor = Doctor(
            try await ConfigurationFile.read(config),
            admin: listener.admin == nil ? nil : try listener.transfer("GET", "/api/status"))
        let diagnosis = await doctor.examine()
        print(diagnosis.text)
        if !diagnosis.isHealthy { throw ExitCode(ExitStatus.unavailable) }
    }
}
