import ArgumentParser

@main
struct Skillgate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "skillgate",
        abstract: "A stateless multi-region gateway for the Alexa Skill Messaging API.",
        version: "\(Build.version) (\(Build.revision), Swift \(Build.swift))",
        subcommands: [
            Serve.self, Check.self, Options.self, Key.self, DoctorCommand.self, Trace.self, Admin.self, Records.self,
            Send.self, Simulate.self, Demo.self,
        ]
    )

    static func main() async {
        // Before any command reads a secret.
        ThisProcess.hideMemory()
        LogSettings.bootstrap()
        await main(nil)
    }
}
