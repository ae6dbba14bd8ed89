import GatewayCore
import GatewayServer
import GatewayUpstream
import TransportSecurity
import Yams

/// Every problem of a configuration file, in the order in which they stand in it.
struct ConfigurationErrors: Error, CustomStringConvertible {
    var problems: [ConfigurationProblem]
    /// Files that were read, or could not be, as far as the configuration was understood.
    var watchedFiles = WatchedFiles()

    var description: String { problems.map(\.description).joined(separator: "\n") }
}

extension GatewayConfiguration {
    /// Reads and checks a whole configuration, secrets included.
    ///
    /// - Parameters:
    ///   - file: the path of a YAML or JSON file; paths in it are relative to its folder.
    ///   - environment: for overrides and for secrets by `{env: …}`.
    ///   - progress: told of each file before it is read.
    init(
        file: String, environment: [String: String], progress: ReadingProgress = ReadingProgress()
    ) throws(ConfigurationErrors) {
        let reader = ConfigurationReader(
            fileName: file, folder: TextFile.folder(of: file), environment: environment, progress: progress)
        reader.watch(file)
        let yaml: String
        do {
            yaml = try TextFile.read(file, limitBytes: 1 << 20)
        } catch {
            reader.report(error.description, at: nil)
            throw ConfigurationErrors(problems: reader.problems, watchedFiles: reader.watchedFiles)
        }
        try self.init(yaml: yaml, reader)
    }

    init(
        yaml: String, fileName: String, folder: String, environment: [String: String]
    ) throws(ConfigurationErrors) {
        try self.init(
            yaml: yaml, ConfigurationReader(fileName: fileName, folder: folder, environment: environment))
    }

    private init(yaml: String, _ reader: ConfigurationReader) throws(ConfigurationErrors) {
        self.init()
        if let root = reader.root(of: yaml) {
            upstream.proxy = Proxy.environment(reader.environment)
            let telemetry = reader.telemetry
            if !telemetry.traces.url.isEmpty { traces = telemetry.traces }
            for warning in telemetry.warnings { reader.warn(warning.text, at: .environment(warning.variable)) }
            if telemetry.traces.sendsSecretsInClear {
                reader.warn(
                    "its fields go over the network unencrypted; expected an https URL",
                    at: .environment("OTEL_EXPORTER_OTLP_HEADERS"))
            }
            for option in Self.options { option.read(root, &self) }
            // The section is there, and the environment wants no traces.
            if traces?.url.isEmpty == true { traces = nil }
            Self.check(root, &self)
            root.close()
            reader.reportUnknownVariables()
            watchedFiles = reader.watchedFiles
            warnings = reader.warnings
            checks = reader.checks
        }
        guard reader.problems.isEmpty else {
            throw ConfigurationErrors(problems: Self.sorted(reader.problems), watchedFiles: reader.watchedFiles)
        }
    }

    private static func sorted(_ problems: [ConfigurationProblem]) -> [ConfigurationProblem] {
        problems.enumerated().sorted { one, other in
            switch (one.element.place, other.element.place) {
            case (.file(_, let line, let column), .file(_, let otherLine, let otherColumn)):
                (line, column, one.offset) < (otherLine, otherColumn, other.offset)
            case (.file, .environment): true
            case (.environment, .file): false
            case (.environment, .environment): one.offset < other.offset
            }
        }.map(\.element)
    }

    func regionDirectory() throws(RegionDirectory.Conflict) -> RegionDirectory {
        try RegionDirectory(ByRegion { [endpoints[$0]] + aliases[$0] })
    }
}
