import ArgumentParser
import GatewayCore

struct Trace: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tells what is known of one message: from access log, audit log and its idempotency record.",
        discussion: """
            Logs are those of the configuration, with what was rotated beside them; --log adds others, of other replicas, \
            say. The record is read from files or Redis, which gateways may be using. Times are UTC; the present comes last.
            """)

    /// From a request to its record, to the other requests with it, to what is said of those.
    private static let passes = 3

    @Argument(
        help: ArgumentHelp(
            "An idempotency key, the name of a record, a request id (X-Request-Id), Amazon's request id or a trace id.",
            valueName: "key-or-id"))
    var name: String

    @Option(help: "The configuration file (YAML).", completion: .configuration)
    var config: String

    @Option(help: "A further log file; may be given several times.", completion: .file())
    var log: [String] = []

    @Option(help: "The caller whose key it is; else each of the configuration is tried.")
    var caller: String?

    func run() async throws {
        // What this machine lacks for serving does not keep anybody from looking.
        let configuration = try await ConfigurationFile.read(config, isForThisMachine: false)
        if let caller, !configuration.callers.contains(where: { $0.name == caller }) {
            StandardError.write("the configuration has no caller `\(caller)`\n")
            throw ExitCode(ExitStatus.usage)
        }
        var search = LogSearch()
        for file in [configuration.accessLogFile, configuration.auditFile].compactMap({ $0 }) + log { search.add(file) }
        let keyed = scopes(configuration)
        var names = Set([name] + keyed.map(\.hexadecimal))
        var lines = search.lines(with: names)
        // What belongs to the same message by its record, and what else is said of the same requests.
        for _ in 1..<Self.passes {
            let others = lines.flatMap { [$0.record, $0.id].compactMap { $0 } }
            guard !names.isSuperset(of: others) else { break }
            names.formUnion(others)
            lines = search.lines(with: names)
        }
        let named = Set(lines.compactMap(\.record)).compactMap { IdempotencyScope(hexadecimal: $0) }
        let (records, trouble) = await RecordLookup(configuration: configuration).find(Array(Set(keyed + named)))
        let story = MessageStory(lines, records, now: UnixTime.timestamp().text)
        for note in notes(configuration, search, trouble) { StandardError.write("note: \(note)\n") }
        guard !story.isEmpty else {
            StandardError.write("nothing is known of `\(name)`\n")
            throw ExitCode(ExitStatus.data)
        }
        try StandardOutput.write(story.text)
    }

    /// The records that the name may be the key of, or the name of.
    private func scopes(_ configuration: GatewayConfiguration) -> [IdempotencyScope] {
        if let scope = IdempotencyScope(hexadecimal: name) { return [scope] }
        let callers = configuration.callers.filter { caller == nil || $0.name == caller }
        return callers.flatMap { caller in
            caller.skills.compactMap { skill in
                IdempotencyScope(
                    ofKey: name, caller: caller.recordID, skill: configuration.skills[skill].recordID)
            }
        }
    }

    /// What was not looked at.
    private func notes(_ configuration: GatewayConfiguration, _ search: LogSearch, _ trouble: String?) -> [String] {
        var notes = search.unreadable
        if configuration.accessLogFile == nil && log.isEmpty {
            notes.append("requests are missing: there is no access log (`accessLog.file`)")
        }
        if search.isCut {
            notes.append("the name stands in more than \(LogSearch.limit) lines; the others are missing")
        }
        if let trouble { notes.append("the record is missing: \(trouble)") }
        return notes
    }
}
