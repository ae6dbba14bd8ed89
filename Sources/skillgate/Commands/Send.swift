import ArgumentParser
import GatewayCore

struct Send: AsyncParsableCommand {
    /// Whoever has it exported for this command runs the others with it, too.
    static let apiKeyVariable = "SKILLGATE_API_KEY"

    static let configuration = CommandConfiguration(
        abstract: "Sends one message, or one message per line of a file, through a gateway.",
        discussion: """
            Each line of the file is {"userId": "…", "data": {"order": "1234"}}, optionally with \
            "expiresAfterSeconds", "idempotencyKey", "region" or "apiEndpoint", and "skill". Each message has an \
            idempotency key, either its own or one derived from its content, so that sending the same message again \
            does not send it twice; to send it twice, give it another key. The outcome of each line is written to the \
            results file, from which an interrupted run resumes when it is started again.

            The API key is read from --key-file or from \(apiKeyVariable). Exits with 0 if every message was \
            accepted, with 65 if some were permanently refused, and with 75 if it is worth running again.
            """)

    @Option(help: "The URL of the gateway.")
    var gateway = "http://127.0.0.1:8080"
    @Option(help: "A file with the API key.", completion: .file())
    var keyFile: String?
    @Option(help: "A PEM file of certificate authorities to trust in addition to the system's.", completion: .file())
    var caFile: String?
    @Option(help: "The userId to send one message to.")
    var user: String?
    @Option(help: "The data of one message, a JSON object of strings.")
    var data = "{}"
    @Option(help: "Seconds for which Amazon tries to deliver one message, 60 to 86400.")
    var expiresAfter: Int?
    @Option(help: "The region of the user of one message: NA, EU or FE.", completion: .regions)
    var region: String?
    @Option(help: "The skill of one message.")
    var skill: String?
    @Option(help: "The idempotency key of one message, so that it is not sent twice.")
    var idempotencyKey: String?
    @Option(help: "A file with one message per line (NDJSON); - reads standard input.", completion: .file())
    var file: String?
    @Option(help: "The results file; FILE.results by default. Required with --file -.", completion: .file())
    var results: String?
    @Option(help: "How many messages to send at once.")
    var concurrency = 16
    @Option(help: "The maximum number of attempts per message.")
    var attempts = 6
    @Flag(help: "Resends messages whose outcome is unknown, although they may have been accepted.")
    var resend = false
    @Flag(
        help: "Sends nothing: the gateway checks each message as if it were to be sent. Says what is wrong; no results."
    )
    var validateOnly = false
    @Flag(
        help:
            "Waits until the skill has reported what was sent, or until it has expired; then exits with 75. For skills with receipts."
    )
    var wait = false

    func validate() throws {
        guard (user == nil) != (file == nil) else { throw ValidationError("expected either --user or --file") }
        if file != nil {
            for (name, isGiven) in [
                ("--region", region != nil), ("--skill", skill != nil), ("--data", data != "{}"),
                ("--expires-after", expiresAfter != nil), ("--idempotency-key", idempotencyKey != nil),
            ] where isGiven {
                throw ValidationError("\(name) is for one message; with --file each line says so itself")
            }
        } else if results != nil {
            throw ValidationError("--results is for --file")
        }
        for (name, isGiven) in [("--results", results != nil), ("--resend", resend), ("--wait", wait)]
        where isGiven && validateOnly {
            throw ValidationError("\(name) is for messages that are sent; with --validate-only nothing is")
        }
        guard GatewayURL.isValid(gateway) else {
            throw ValidationError(
                "--gateway is `\(gateway)`; expected a URL such as http://127.0.0.1:8080, without a path")
        }
        if let caFile, let reason = TextFile.reasonNotReadable(caFile) {
            throw ValidationError("--ca-file \(caFile): \(reason)")
        }
        guard file == nil || file != results else {
            throw ValidationError("--results is the file of messages; expected another one")
        }
        guard (try? JSONMembers.all(of: Array(data.utf8).span)) != nil else {
            throw ValidationError("--data is `\(data)`; expected a JSON object")
        }
        guard file != "-" || results != nil || validateOnly else {
            throw ValidationError("--file - requires --results, a file to resume from after an interruption")
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
            gateway: gateway.hasSuffix("/") ? String(gateway.dropLast()) : gateway,
            apiKey: try KeyArgument.read(file: keyFile, variable: Self.apiKeyVariable),
            caFile: caFile,
            proxy: GatewayConfiguration.Proxy.environment(Environment.variables()).url(for: gateway),
            maximumAttempts: attempts, consentsToDoubles: resend, validatesOnly: validateOnly)
        if let file {
            try await BulkSend(
                file: file, resultsPath: validateOnly ? nil : results ?? file + ".results", concurrency: concurrency,
                sender: sender, waits: wait
            ).run()
        } else {
            try await sendOne(by: sender)
        }
    }

    private func sendOne(by sender: MessageSender) async throws {
        var members = [("userId", JSONText.string(user ?? "")), ("data", data)]
        if let expiresAfter { members.append(("expiresAfterSeconds", "\(expiresAfter)")) }
        if let region { members.append(("region", JSONText.string(region))) }
        if let skill { members.append(("skill", JSONText.string(skill))) }
        if let idempotencyKey { members.append(("idempotencyKey", JSONText.string(idempotencyKey))) }
        let json = "{" + members.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
        let message = try StandardError.orExit { try SendInput(line: 1, json: Array(json.utf8)) }
        let result = await sender.send(message)
        print(
            "\(result.label)\(result.requestID.map { "  request id \($0)" } ?? "")\(result.detail.map { "  \($0)" } ?? "")"
        )
        if let id = result.gatewayRequestID, !result.isAccepted { print("the gateway's request id \(id)") }
        print("key \(result.idempotencyKey)")
        if result.isReplay == true {
            print("already answered under this key, so not sent again; use another --idempotency-key to send it again")
        }
        if wait && (result.isAccepted || result.isUnknown) {
            return try await BulkSend.wait(for: [message], by: sender, concurrency: 1)
        }
        guard !result.isAccepted else { return }
        throw ExitCode(result.isFinal ? ExitStatus.data : ExitStatus.tryAgain)
    }
}
