import ArgumentParser
import GatewayCore

struct Trace: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tells what is known of one message: from access log, audit log and its idempotency record.",
        discussion: """
            Logs are those of the configuration, with what was rotated beside them; --log adds others, of other replicas, \
            say. The record is read from files or Redis, which gateways may be using. Times are UTC; the present comes last.
            """)

    @Argument(
        help: ArgumentHelp(
            "An idempotency key, the name of a record, a request id (X-Request-Id), Amazon's request id or a trace id.",
            valueName: "key-or-id"))
    var name: String

    @Option(help: "The configuration file (YAML).", completion: .configuration)
    var config: String

    @Option(help: "A further log file; may be given several times.", completion: .file())
    var log: [String] = []

    @Option(help: "The caller whose message it is; else those of all callers are told.")
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
        let lines = MessageLines(name, keyed.map(\.hexadecimal), caller: caller, in: &search)
        let named = lines.ofRecords.keys.compactMap { IdempotencyScope(hexadecimal: $0) }
        let (records, trouble) = await RecordLookup(configuration: configuration).find(Array(Set(keyed + named)))
        for note in notes(configuration, search, lines, trouble) { StandardError.write("note: \(note.oneLine)\n") }
        let now = UnixTime.timestamp().text
        var stories = Set(lines.ofRecords.keys).union(records.map(\.scope)).sorted().map { scope in
            (
                title: "record \(scope)" + Self.owner(lines.ofRecords[scope] ?? []),
                story: MessageStory(lines.ofRecords[scope] ?? [], records.filter { $0.scope == scope }, now: now)
            )
        }
        stories.append((title: "without a record", story: MessageStory(lines.ofNone, [], now: now)))
        stories.removeAll { $0.story.isEmpty }
        guard !stories.isEmpty else {
            StandardError.write("nothing is known of `\(name.oneLine)`\n")
            throw ExitCode(ExitStatus.data)
        }
        // The name may be that of several messages.
        for (title, story) in stories {
            try StandardOutput.write((stories.count > 1 ? "\(title.oneLine):\n" : "") + story.text)
        }
    }

    private static func owner(_ lines: [LogLine]) -> String {
        let owner = [lines.lazy.compactMap(\.caller).first, lines.lazy.compactMap(\.skill).first].compactMap { $0 }
        return owner.isEmpty ? "" : " (\(owner.joined(separator: ", ")))"
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
    private func notes(
        _ configuration: GatewayConfiguration, _ search: LogSearch, _ lines: MessageLines, _ trouble: String?
    ) -> [String] {
        var notes = search.unreadable
        if configuration.accessLogFile == nil && log.isEmpty {
            notes.append("requests are missing: there is no access log (`accessLog.file`)")
        }
        if search.isCut {
            notes.append("the name stands in more than \(LogSearch.limit) lines; the others are missing")
        }
        if lines.isCut { notes.append("the name is that of more than \(MessageLines.mostRecords) messages") }
        if let trouble { notes.append("records may be missing: \(trouble)") }
        return notes
    }
}
