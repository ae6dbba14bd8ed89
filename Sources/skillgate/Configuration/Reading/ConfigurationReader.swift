import Yams

/// One thing that is wrong with a configuration, and where.
struct ConfigurationProblem: Error, Equatable, Sendable, CustomStringConvertible {
    enum Location: Equatable, Sendable {
        /// Both counted from 1.
        case file(String, line: Int, column: Int)
        case environment(String)
    }

    var place: Location
    /// What is wrong, and what is expected.
    var text: String

    var description: String {
        switch place {
        case .file(let name, let line, let column): "\(name):\(line):\(column): \(text.oneLine)"
        case .environment(let name): "\(name): \(text.oneLine)"
        }
    }
}

/// Reads a YAML document member by member, and notes every problem instead of stopping at the first.
///
/// Each member that is asked for is a known one; what else the document holds is a mistake. Scalars are looked up in
/// the environment first: `admin.address` is `SKILLGATE_ADMIN_ADDRESS`.
final class ConfigurationReader {
    static let environmentPrefix = "SKILLGATE_"

    let fileName: String
    /// What relative paths are relative to.
    private let folder: String
    let environment: [String: String]
    /// Reads a file that the environment may name.
    private(set) lazy var telemetry = TelemetryEnvironment(environment)
    private(set) var problems: [ConfigurationProblem] = []
    private(set) var warnings: [ConfigurationProblem] = []
    private(set) var checks: [@Sendable () -> ConfigurationProblem?] = []
    /// Files whose content the configuration holds or refers to.
    private(set) var watchedFiles = WatchedFiles()
    /// Told of each file before it is read.
    private let progress: ReadingProgress
    private var overrides: Set<String> = []
    /// Environment variables that hold secrets and are no overrides.
    private var references: Set<String> = []

    init(
        fileName: String, folder: String, environment: [String: String], progress: ReadingProgress = ReadingProgress()
    ) {
        self.fileName = fileName
        self.folder = folder
        self.progress = progress
        self.environment = environment
    }

    /// The outermost section; nil if the text is no YAML mapping.
    func root(of yaml: String) -> ConfigurationSection? {
        if let violation = YAMLBounds.violation(in: yaml) {
            report(violation.text, at: .file(fileName, line: violation.line, column: violation.column))
            return nil
        }
        do {
            guard let node = try Yams.compose(yaml: yaml) else {
                report("the file is empty; expected at least `skills` and `callers`", at: nil)
                return nil
            }
            guard case .mapping(let mapping) = node else {
                report("the document is not a mapping; expected members such as `skills` and `callers`", at: node.mark)
                return nil
            }
            return ConfigurationSection(mapping, at: node.mark, path: [], reader: self)
        } catch {
            report(error)
            return nil
        }
    }

    func path(_ text: String) -> String {
        text.hasPrefix("/") || folder.isEmpty ? text : "\(folder)/\(text)"
    }

    /// Registers a file whose change triggers a reload. To be called before it is read.
    func watch(_ file: String) {
        progress.begins(file)
        watchedFiles.add(file)
    }

    /// As `ConfigurationSection.checkHere`.
    func checkHere(at mark: Mark?, _ check: @escaping @Sendable () -> String?) {
        let place = problem("", at: mark).place
        checks.append { check().map { ConfigurationProblem(place: place, text: $0) } }
    }

    /// Something that works, and about which the operator is told.
    func warn(_ text: String, at mark: Mark?) {
        warnings.append(problem(text, at: mark))
    }

    func warn(_ text: String, at place: ConfigurationProblem.Location) {
        warnings.append(ConfigurationProblem(place: place, text: text))
    }

    func report(_ text: String, at mark: Mark?) {
        problems.append(problem(text, at: mark))
    }

    private func problem(_ text: String, at mark: Mark?) -> ConfigurationProblem {
        ConfigurationProblem(place: .file(fileName, line: mark?.line ?? 1, column: mark?.column ?? 1), text: text)
    }

    func report(_ text: String, at place: ConfigurationProblem.Location) {
        problems.append(ConfigurationProblem(place: place, text: text))
    }

    private func report(_ error: any Error) {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            report("not YAML: \(problem)", at: mark)
        case .duplicatedKeysInMapping(let duplicates, let context):
            let names = duplicates.map { "`\($0)`" }.joined(separator: ", ")
            report("member \(names) is given twice", at: context.mark)
        default:
            // Its own words would show the file.
            report("not YAML: it cannot be parsed", at: nil)
        }
    }

    // MARK: Environment

    /// The variable that overrides the scalar at `path`: `["upstream", "connectTimeout"]` is
    /// `SKILLGATE_UPSTREAM_CONNECT_TIMEOUT`.
    static func variable(for path: [String]) -> String {
        environmentPrefix
            + path.map { name in
                name.reduce(into: "") { variable, character in
                    let startsWord = character.isUppercase && variable.last?.isLowercase == true
                    variable += (startsWord ? "_" : "") + String(character)
                }.uppercased()
            }.joined(separator: "_")
    }

    func override(of path: [String]) -> (text: String, place: ConfigurationProblem.Location)? {
        let variable = Self.variable(for: path)
        overrides.insert(variable)
        return environment[variable].map { ($0, .environment(variable)) }
    }

    func secret(inVariable name: String) -> String? {
        references.insert(name)
        return environment[name]
    }

    /// Notes variables that look like overrides and are none. Kubernetes adds some by itself for a service of our name.
    func reportUnknownVariables() {
        for name in environment.keys.sorted() where name.hasPrefix(Self.environmentPrefix) {
            let isServiceLink =
                ["_PORT", "_SERVICE_HOST", "_PROTO", "_ADDR"].contains { name.hasSuffix($0) }
                || name.contains("_PORT_") || name.hasPrefix("SKILLGATE_PORT") || name.contains("_SERVICE_PORT")
            if overrides.contains(name) || references.contains(name) || isServiceLink || name == Send.apiKeyVariable {
                continue
            }
            report("overrides nothing\(Self.hint(name, overrides.sorted()))", at: .environment(name))
        }
    }

    // MARK: Hints

    /// `; did you mean …?` for the nearest known name, if one is near.
    static func hint(_ name: String, _ known: [String]) -> String {
        let nearest = known.map { ($0, distance(name.lowercased(), $0.lowercased())) }.min { $0.1 < $1.1 }
        guard let nearest, nearest.1 <= max(2, name.count / 3) else { return "" }
        return "; did you mean `\(nearest.0)`?"
    }

    /// Levenshtein distance.
    private static func distance(_ one: String, _ other: String) -> Int {
        let (one, other) = (Array(one), Array(other))
        var row = Array(0...other.count)
        for (i, left) in one.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, right) in other.enumerated() {
                let above = row[j + 1]
                row[j + 1] = min(above + 1, row[j] + 1, diagonal + (left == right ? 0 : 1))
                diagonal = above
            }
        }
        return row[other.count]
    }
}
