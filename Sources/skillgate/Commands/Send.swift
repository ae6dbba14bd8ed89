import ArgumentParser
import GatewayCore

struct Send: AsyncParsableCommand {
    /// Whoever has it exported for this command runs the others with it, too.
    static let apiKeyVariable = "SKILLGATE_API_KEY"

    static let configuration = CommandConfiguration(
        abstract: "Sends one message, or one for each line of a file, through a gateway.",
        discussion: """
            A line of the file is {"userId": "…", "data": {"order": "1234"}}, with "expiresAfterSeconds", "idempotencyKey", "region" or \
            "apiEndpoint", and "skill" where they are wanted. Each message has an idempotency key, its own or one made of what it \
            says, so that sending the same again sends nothing twice; to send the same message anew, give it another key. What became of \
            each line goes to the results file; an interrupted run goes on from there when it is started again.

            The API key is read from --key-file or from \(apiKeyVariable). Exits with 0 if every message was accepted, with 65 if some \
            were refused for good, and with 75 if it makes sense to run it again.
            """)

    @Option(help: "The gateway.")
    var gateway = "http://127.0.0.1:8080"
    @Option(help: "A file with the API key.")
    var keyFile: String?
    @Option(help: "A PEM file of authorities trusted besides the system's.")
    var caFile: String?
    @Option(help: "The user, for one message.")
    var user: String?
    @Option(help: "The data of one message, a JSON object of strings.")
    var data = "{}"
    @Option(help: "Seconds for which Amazon tries to deliver one message, 60 to 86400.")
    var expiresAfter: Int?
    @Option(help: "The region of the user of one message: NA, EU or FE.")
    var region: String?
    @Option(help: "The skill of one message.")
    var skill: String?
    @Option(help: "What one message is called, so that it is not sent twice.")
    var idempotencyKey: String?
    @Option(help: "A file with a message a line (NDJSON); - for standard input.")
    var file: String?
    @Option(help: "Where results go; FILE.results if not given. Needed with --file -.")
    var results: String?
    @Option(help: "Messages at once.")
    var concurrency = 16
    @Option(help: "How often each message is tried.")
    var attempts = 6
    @Flag(help: "Sends messages again whose outcome is unknown, though they may have been accepted.")
    var resend = false

    func validate() throws {
        guard (user == nil) != (file == nil) else { throw ValidationError("expected one of --user and --file") }
        guard file != "-" || results != nil else {
            throw ValidationError("--file - needs --results, a file to go on from after an interruption")
        }
        guard (1...256).contains(concurrency) else {
            throw ValidationError("--concurrency is \(concurrency); expected 1 to 256")
        }
        guard (1...100).contains(attempts) else {
            throw ValidationError("--attempts is \(attempts); expected 1 to 100")
        }
    }

    func run() async throws {
        let sender = MessageSender(
            gateway: gateway.hasSuffix("/") ? String(gateway.dropLast()) : gateway, apiKey: try apiKey(),
            caFile: caFile,
            proxy: GatewayConfiguration.Proxy.environment(Environment.variables()).url(for: gateway),
            maximumAttempts: attempts, consentsToDoubles: resend)
        if let file {
            try await BulkSend(
                file: file, resultsPath: results ?? file + ".results", concurrency: concurrency, sender: sender
            ).run()
        } else {
            try await sendOne(by: sender)
        }
    }

    private func apiKey() throws -> String? {
        try StandardError.orExit {
            let (key, source) =
                try keyFile.map { (try TextFile.readSecret($0, mayWait: true), $0) }
                ?? (Environment.variables()[Self.apiKeyVariable], Self.apiKeyVariable)
            // It becomes a line of the head.
            guard let key else { return nil }
            if !key.isEmpty && key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) { return key }
            throw TextFile.Unreadable(
                description:
                    "the API key in \(source) is empty or holds spaces or control characters; expected a key as "
                    + "`skillgate key` makes it")
        }
    }

    private func sendOne(by sender: MessageSender) async throws {
        var members = [("userId", JSONText.string(user ?? "")), ("data", data)]
        if let expiresAfter { members.append(("expiresAfterSeconds", "\(expiresAfter)")) }
        if let region { members.append(("region", JSONText.string(region))) }
        if let skill { members.append(("skill", JSONText.string(skill))) }
        if let idempotencyKey { members.append(("idempotencyKey", JSONText.string(idempotencyKey))) }
        let json = "{" + members.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
        let message = try StandardError.orExit { try OutgoingMessage(line: 1, json: Array(json.utf8)) }
        let result = await sender.send(message)
        print(
            "\(result.label)\(result.requestID.map { "  request id \($0)" } ?? "")\(result.detail.map { "  \($0)" } ?? "")"
        )
        print("key \(result.idempotencyKey)")
        if result.isReplay == true {
            print("answered before under this key, and not sent again; another --idempotency-key sends it anew")
        }
        guard !result.isAccepted else { return }
        throw ExitCode(result.isFinal ? ExitStatus.data : ExitStatus.tryAgain)
    }
}
