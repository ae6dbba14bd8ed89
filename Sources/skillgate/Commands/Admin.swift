import ArgumentParser
import FoundationEssentials
import GatewayCore
import Logging
import TokenEndpointClient

struct Admin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows the state of a gateway that runs, and changes it.",
        discussion: """
            Connects to the gateway's `admin.socket`, or with --admin and an operator's key to its admin listener. What is paused stays so until it is resumed or the process ends; \
            other replicas are not affected.
            """,
        subcommands: [Status.self, Drain.self, SetLogLevel.self, Pause.self, Resume.self])

    /// Where the gateway is.
    struct Socket: ParsableArguments {
        @Option(help: "The path of the gateway's Unix socket for operators.", completion: .file())
        var socket: String?
        @Option(help: "The configuration file (YAML), which names it (`admin.socket`).", completion: .configuration)
        var config: String?
        @OptionGroup var listener: AdminListener

        func validate() throws {
            guard [socket, config, listener.admin].compactMap({ $0 }).count == 1 else {
                throw ValidationError("expected one of --socket, --config and --admin")
            }
        }

        private func path() async throws -> String {
            if let socket { return socket }
            let configuration = try await ConfigurationFile.read(config ?? "", isForThisMachine: false)
            if let path = configuration.adminSocket { return path }
            StandardError.write("this configuration has no `admin.socket`\n")
            throw ExitCode(ExitStatus.usage)
        }

        private func transfer(_ method: String, _ path: String) async throws -> HTTPTransfer {
            if listener.admin != nil { return try listener.transfer(method, path) }
            var transfer = HTTPTransfer(method, "http://localhost\(path)")
            transfer.unixSocket = try await self.path()
            return transfer
        }

        /// The response to a request, which is 200; otherwise the command ends.
        fileprivate func ask(
            _ method: String, _ path: String, _ parameters: some Encodable = [String: String]()
        ) async throws -> [UInt8] {
            var transfer = try await self.transfer(method, path)
            if method == "POST" {
                transfer.fields.append(("Content-Type", "application/json"))
                transfer.content = Array(try JSONEncoder().encode(parameters))
            }
            let response: HTTPTransfer.Response
            do {
                response = try await transfer.perform()
            } catch {
                StandardError.write("cannot ask the gateway at \(transfer.unixSocket ?? transfer.url): \(error)\n")
                throw ExitCode(ExitStatus.unavailable)
            }
            guard response.status == 200 else {
                StandardError.write(response.text.hasSuffix("\n") ? response.text : response.text + "\n")
                throw ExitCode(response.status == 400 ? ExitStatus.usage : ExitStatus.unavailable)
            }
            return response.content
        }

        /// Does what one of the verbs says, and prints what is paused then.
        fileprivate func perform(_ path: String, _ parameters: some Encodable) async throws {
            let content = try await ask("POST", path, parameters)
            let outcome = try JSONDecoder().decode(Outcome.self, from: Data(content))
            let paused = outcome.paused.map { "\($0.kind) \($0.name)" }
            print(paused.isEmpty ? "nothing is paused" : "paused: " + paused.joined(separator: ", "))
        }
    }

    /// What is said to a verb that was done.
    private struct Outcome: Decodable {
        struct Subject: Decodable {
            var kind: String
            var name: String
        }

        var paused: [Subject]
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the gateway's state, and a line for each problem.")

        @OptionGroup var socket: Socket

        func run() async throws {
            let gateway = try JSONDecoder().decode(
                RunningGateway.self, from: Data(try await socket.ask("GET", "/api/status")))
            print("\(gateway.host): \(gateway.state)")
            for line in gateway.reasons + gateway.shrunkLimits { print(line) }
        }
    }

    struct Drain: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Finishes what is in flight and ends the process, as SIGTERM does.")

        @OptionGroup var socket: Socket

        func run() async throws {
            _ = try await socket.ask("POST", "/api/drain")
            print("draining")
        }
    }

    struct SetLogLevel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "log-level", abstract: "Sets the level of the gateway's log, until the next reload or restart."
        )

        @Argument(help: "The level: trace, debug, info, notice, warning, error or critical.")
        var level: String
        @OptionGroup var socket: Socket

        func run() async throws {
            _ = try await socket.ask("POST", "/api/log-level", ["level": level])
            print("the log level is \(level)")
        }
    }

    /// What is paused or resumed.
    struct Subject: ParsableArguments {
        @Option(help: "The name of a skill.")
        var skill: String?
        @Option(help: "The name of a caller.")
        var caller: String?
        @Option(help: "A region: NA, EU or FE.", completion: .regions)
        var region: String?

        fileprivate var parameters: [String: String] {
            var parameters: [String: String] = [:]
            parameters["skill"] = skill
            parameters["caller"] = caller
            parameters["region"] = region
            return parameters
        }
    }

    struct Pause: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sends no more messages of a skill or a caller, or to a region: they get 503 `paused`.")

        @OptionGroup var subject: Subject
        @OptionGroup var socket: Socket

        func validate() throws {
            if subject.parameters.count != 1 { throw ValidationError("expected one of --skill, --caller and --region") }
        }

        func run() async throws { try await socket.perform("/api/pause", subject.parameters) }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Sends messages again that were paused.")

        @OptionGroup var subject: Subject
        @Flag(help: "Resumes everything.")
        var all = false
        @OptionGroup var socket: Socket

        func validate() throws {
            if subject.parameters.count + (all ? 1 : 0) != 1 {
                throw ValidationError("expected one of --skill, --caller, --region and --all")
            }
        }

        func run() async throws {
            if all { return try await socket.perform("/api/resume", ["all": true]) }
            try await socket.perform("/api/resume", subject.parameters)
        }
    }
}
