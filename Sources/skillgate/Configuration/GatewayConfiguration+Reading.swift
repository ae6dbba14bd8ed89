import GatewayCore
import GatewayServer
import GatewayUpstream
import TLSFiles
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
        let reader = ConfigurationReader(fileName: file, environment: environment, progress: progress)
        reader.watch(file)
        let yaml: String
        do {
            yaml = try TextFile.read(file, limitBytes: 1 << 20)
        } catch {
            reader.report(error.description, at: nil)
            throw ConfigurationErrors(problems: reader.problems, watchedFiles: reader.watchedFiles)
        }
        try self.init(yaml: yaml, folder: TextFile.folder(of: file), reader)
    }

    init(
        yaml: String, fileName: String, folder: String, environment: [String: String]
    ) throws(ConfigurationErrors) {
        try self.init(
            yaml: yaml, folder: folder, ConfigurationReader(fileName: fileName, environment: environment))
    }

    private init(yaml: String, folder: String, _ reader: ConfigurationReader) throws(ConfigurationErrors) {
        self.init()
        if let root = reader.root(of: yaml) {
            let secrets = SecretReader(folder: folder)
            read(root, secrets)
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

    private mutating func read(_ root: ConfigurationSection, _ secrets: SecretReader) {
        eventLoops = root.value("eventLoops", .integer(1...256))
        readListeners(root, secrets)
        admin = root.section("admin") { $0.value("address", .address, default: admin) }
        warnOfSharedPort(root)
        readRegions(root)
        readUpstream(root, secrets)
        discovery = root.value("discovery", .choice, default: discovery)
        readSkills(root, secrets)
        readCallers(root, secrets)
        readIdempotency(root, secrets)
        accessLogFile = Self.readLogFile("accessLog", root, secrets) { section in
            acceptedPerLogLine = section.value(
                "acceptedPerLine", .integer(1...1_000_000), default: acceptedPerLogLine)
        }
        auditFile = Self.readLogFile("audit", root, secrets)
        root.section("log") { section in
            log.level = section.value("level", .choice, default: log.level)
            log.format = section.value("format", .choice, default: log.format)
        }
        root.section("drain") { section in
            drain.notice = section.value("notice", .duration(.zero ... .seconds(300)), default: drain.notice)
            drain.timeout = section.value("timeout", .duration(.seconds(1) ... .seconds(3600)), default: drain.timeout)
        }
    }

    private static func readLogFile(
        _ name: String, _ root: ConfigurationSection, _ secrets: SecretReader,
        more: (ConfigurationSection) -> Void = { _ in }
    ) -> String? {
        root.section(name) { section in
            more(section)
            guard let path = section.value("file", .text("the path of a file")).map(secrets.path) else { return nil }
            if let reason = TextFile.reasonNotWritable(path) {
                section.report("`file`: cannot write \(path): \(reason)", at: "file")
            }
            return path
        }
    }

    private mutating func readRegions(_ root: ConfigurationSection) {
        root.section("regions") { section in
            for region in Region.allCases {
                section.section(region.name) { section in
                    endpoints[region] = section.value("apiEndpoint", .endpoint, default: endpoints[region])
                    guard section.has("aliases") else { return }
                    aliases[region] = section.values("aliases", .alias).map(\.value)
                }
            }
        }
        do {
            _ = try regionDirectory()
        } catch {
            let names = error.regions.map(\.name).joined(separator: " and ")
            root.report("`\(error.endpoint)` belongs to two regions, \(names)", at: "regions")
        }
        if let endpoint = root.value("tokenEndpoint", .endpoint) { tokenEndpoint = endpoint.description }
    }

    func regionDirectory() throws(RegionDirectory.Conflict) -> RegionDirectory {
        try RegionDirectory(ByRegion { [endpoints[$0]] + aliases[$0] })
    }

    private mutating func readUpstream(_ root: ConfigurationSection, _ secrets: SecretReader) {
        root.section("upstream") { section in
            section.section("trust") { section in
                guard let path = section.value("caFile", .text("the path of a PEM file")) else { return }
                upstream.caFile = secrets.path(path)
                do {
                    _ = try TextFile.read(secrets.path(path), limitBytes: 4 << 20)
                    _ = try ClientTLS(caFile: secrets.path(path))
                } catch {
                    section.report("`caFile`: \(error)", at: "caFile")
                }
            }
            let limits = upstream.limits
            upstream.limits.deadline = section.value(
                "deadline", .duration(.milliseconds(100) ... .seconds(300)), default: limits.deadline)
            upstream.region.pool.connectTimeout = section.value(
                "connectTimeout", .duration(.milliseconds(10) ... .seconds(60)),
                default: upstream.region.pool.connectTimeout)
            upstream.region.pool.maximumConnections = section.value(
                "maximumConnectionsPerRegion", .integer(1...10_000), default: upstream.region.pool.maximumConnections)
            upstream.region.pool.idleTimeout = section.value(
                "idleTimeout", .duration(.seconds(1) ... .seconds(3600)), default: upstream.region.pool.idleTimeout)
            upstream.region.circuit.isEnabled = section.value(
                "circuitBreaker", .boolean, default: upstream.region.circuit.isEnabled)
            upstream.region.limit.isAdaptive = section.value(
                "adaptiveInFlightLimit", .boolean, default: upstream.region.limit.isAdaptive)
            if upstream.region.pool.connectTimeout > upstream.limits.deadline {
                section.reader.warn(
                    "`connectTimeout` is longer than `deadline`: messages fail before a connection attempt times out",
                    at: section.mark(of: section.has("connectTimeout") ? "connectTimeout" : "deadline"))
            }
            upstream.proxy = readProxy(section)
            upstream.strict5xx = section.value("strict5xx", .boolean, default: upstream.strict5xx)
        }
    }

    private func readProxy(_ section: ConfigurationSection) -> Proxy {
        let proxy = ConfigurationValue<String>(expected: "`none`, or the URL of a proxy such as http://proxy:3128") {
            text in
            // Credentials are secrets, and come from the environment.
            text == "none" || (ForwardProxy(url: text) != nil && !text.contains("@")) ? text : nil
        }
        if let text = section.value("proxy", proxy) { return text == "none" ? .none : .url(text) }
        let environment = Proxy.environment(section.reader.environment)
        if case .environment(let url?, _) = environment, ForwardProxy(url: url) == nil {
            section.report("the variable HTTPS_PROXY is not the URL of a proxy; expected one such as http://proxy:3128")
        }
        return environment
    }

    private mutating func readSkills(_ root: ConfigurationSection, _ secrets: SecretReader) {
        var names: Set<String> = []
        var ids: Set<String> = []
        skills = root.sections("skills") { section in
            let name = section.required("name", .name)
            if name == "none" {
                section.report("the name `none` is reserved in metrics; expected another", at: "name")
            }
            if let name, !names.insert(name).inserted {
                section.report("there are two skills named `\(name)`", at: "name")
            }
            let clientID = section.required("clientID", .text("the client id of the skill's messaging credentials"))
            let secret = secrets.required("clientSecret", in: section)
            let next = secrets.optional("nextClientSecret", in: section)
            let region = section.value("defaultRegion", .region)
            let id = section.value("id", .name)
            guard let name else { return nil }
            Self.report(id ?? name, of: section, in: &ids)
            // A skill whose credentials are wrong is a skill all the same: callers that name it make no mistake.
            let credentials = ClientCredentials(
                clientID: clientID ?? "", clientSecret: secret ?? "", nextClientSecret: next)
            return SkillConfiguration(name: name, id: id, credentials: credentials, defaultRegion: region)
        }
        if !root.has("skills") { root.report("`skills` is missing; expected a list of at least one skill") }
    }
}
