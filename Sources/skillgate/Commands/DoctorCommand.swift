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

    @Option(help: "The configuration file (YAML).")
    var config: String
    @Option(help: "The URL of a running gateway's admin listener, which is then asked about its own state and limits.")
    var admin: String?

    func validate() throws {
        if let admin, !admin.hasPrefix("http://"), !admin.hasPrefix("https://") {
            throw ValidationError("--admin is `\(admin)`; expected a URL such as http://127.0.0.1:9090")
        }
    }

    func run() async throws {
        var doctor = Doctor(try await ConfigurationFile.read(config), admin: admin)
        let diagnosis = await doctor.examine()
        print(diagnosis.text)
        if !diagnosis.isHealthy { throw ExitCode(ExitStatus.unavailable) }
    }
}
