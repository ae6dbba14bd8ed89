import ArgumentParser
import FoundationEssentials
import GatewayCore
import GatewayFiles
import GatewayRedis

struct Records: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Manages the idempotency records.",
        subcommands: [Show.self, Check.self, Repair.self, Export.self, Import.self, Adopt.self])

    /// The configuration, which has to keep records in files.
    fileprivate static func files(of file: String) async throws -> (GatewayConfiguration, folder: String) {
        // What this machine lacks for serving does not keep anybody from looking.
        let configuration = try await ConfigurationFile.read(file, isForThisMachine: false)
        guard configuration.idempotency.kind == .file, let folder = configuration.idempotency.file.directory else {
            StandardError.write("this configuration does not keep records in files (`idempotency.store`)\n")
            throw ExitCode(ExitStatus.usage)
        }
        return (configuration, folder)
    }

    /// What `body` gives; what is wrong with the disk goes to standard error, and the command ends.
    fileprivate static func orExit<Value>(_ body: () throws(DiskError) -> Value) throws -> Value {
        do {
            return try body()
        } catch {
            StandardError.write("\(error)\n")
            throw ExitCode(ExitStatus.unavailable)
        }
    }

    /// The records in files; what is damaged goes to standard error.
    fileprivate static func overview(of folder: String) throws -> (RecordOverview, isWhole: Bool) {
        let overview = try orExit { () throws(DiskError) in try RecordOverview(DiskFolder(folder)) }
        let damages = overview.reports.filter { !$0.damages.isEmpty }
        for sentence in damages.flatMap({ $0.sentences(folder: folder) }) { StandardError.write(sentence + "\n") }
        if !damages.isEmpty { StandardError.write("what is damaged is missing here\n") }
        return (overview, damages.isEmpty)
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Counts the records in files, by state and caller. A gateway may be using them.")

        @Option(help: "The configuration file (YAML).", completion: .configuration)
        var config: String

        func run() async throws {
            let (configuration, folder) = try await Records.files(of: config)
            let (overview, isWhole) = try Records.overview(of: folder)
            print(
                overview.text(
                    folder: folder, callers: configuration.callers.map(\.recordID),
                    unixNow: Int64(UnixTime.milliseconds())))
            if !isWhole { throw ExitCode(ExitStatus.data) }
        }
    }

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Reads every file of records, and names what is damaged with file and byte.")

        @Option(help: "The configuration file (YAML).", completion: .configuration)
        var config: String

        func run() async throws {
            let (_, folder) = try await Records.files(of: config)
            let reports = try Records.orExit { () throws(DiskError) in try RecordInspection.inspect(DiskFolder(folder))
            }
            for report in reports {
                for sentence in report.sentences(folder: folder) { print(sentence) }
            }
            let damages = reports.reduce(0) { $0 + $1.damages.count }
            let entries = reports.reduce(0) { $0 + $1.entries }
            print("\(reports.count) files, \(entries) entries that are whole, \(damages) places that are damaged")
            guard damages == 0 else { throw ExitCode(ExitStatus.data) }
        }
    }

    struct Repair: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Keeps what is whole of damaged files of records.",
            discussion: """
                What is damaged is dropped: retries of those messages are sent again. Each file that is rewritten stays \
                as NAME.damaged. No gateway may be running on them.
                """)

        @Option(help: "The configuration file (YAML).", completion: .configuration)
        var config: String

        func run() async throws {
            let (_, folder) = try await Records.files(of: config)
            let repaired = try Records.orExit { () throws(DiskError) in
                let lock = try FolderLock.take(folder) { process in
                    StandardError.write(
                        "waiting for \(process.map { "process \($0)" } ?? "another process"), which uses the files\n")
                }
                defer { lock.release() }
                return try RecordInspection.repair(DiskFolder(folder))
            }
            for report in repaired {
                for sentence in report.sentences(folder: folder) { print(sentence) }
                print(
                    "\(folder)/\(report.name): \(report.entries) entries kept; the damaged file is \(report.name).damaged"
                )
            }
            if repaired.isEmpty { print("nothing is damaged") }
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Writes the records in files or in Redis to standard output, a line of JSON each.",
            discussion: """
                Gateways may be using them; what they change meanwhile may be missing. Stop them first where nothing may.
                """)

        @Option(help: "The configuration file (YAML).", completion: .configuration)
        var config: String

        func run() async throws {
            let export = RecordExport { try StandardOutput.write($0) }
            let configuration = try await ConfigurationFile.read(config, isForThisMachine: false)
            var isWhole = true
            let result: RecordExport.Result
            do {
                if configuration.idempotency.kind == .redis, let redis = configuration.idempotency.redis {
                    result = try await export.run(redis)
                } else {
                    let (_, folder) = try await Records.files(of: config)
                    let overview: RecordOverview
                    (overview, isWhole) = try Records.overview(of: folder)
                    result = try export.run(overview)
                }
            } catch let exit as ExitCode {
                throw exit
            } catch {
                StandardError.write("\(error)\n")
                throw ExitCode(ExitStatus.unavailable)
            }
            StandardError.write("\(result.records) records\n")
            if result.strangers > 0 {
                StandardError.write(
                    "what \(result.strangers) keys hold is no record, and is missing here\n")
            }
            if !isWhole || result.strangers > 0 { throw ExitCode(ExitStatus.data) }
        }
    }

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Adds records that were exported to the store of a configuration, in files or in Redis.",
            discussion: """
                What the store knows already stays as it is, so that an import that was interrupted can be repeated. \
                To grow out of one machine without forgetting: stop the gateway, export its files, import them with \
                the configuration that names Redis, and start the gateways with that one.
                """)

        @Option(help: "The configuration file (YAML).", completion: .configuration)
        var config: String

        @Argument(help: "The file that was exported; - for standard input.", completion: .file())
        var file: String

        func run() async throws {
            let configuration = try await ConfigurationFile.read(config)
            let text = try StandardError.orExit {
                try TextFile.read(file == "-" ? "/dev/stdin" : file, limitBytes: 4 << 30, mayWait: true)
            }
            let lines = text.split(whereSeparator: \.isNewline)
            var progress = Progress(total: lines.count, done: 0, now: .now)
            do {
                let result = try await RecordImport(configuration).run(lines) {
                    progress.advanced(isAccepted: true, now: .now)
                }
                progress.finish(now: .now)
                print("\(result.imported) imported, \(result.known) known already, \(result.expired) expired")
            } catch let error as RecordImport.Failure {
                progress.finish(now: .now)
                StandardError.write("\(file): \(error)\n")
                throw ExitCode(error.status)
            } catch {
                progress.finish(now: .now)
                StandardError.write("\(error)\n")
                throw ExitCode(ExitStatus.unavailable)
            }
        }
    }

    struct Adopt: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Declares that a Redis may be used as it is, on first start or after it has lost records.",
            discussion: """
                Needed with `idempotency.redis.onStoreWiped: hold`: until the store is adopted, nothing is sent under \
                keys that it does not know. Afterwards, retries of messages that were sent before the loss are sent \
                again. Changes nothing if no records were lost.
                """)

        @Option(help: "The configuration file (YAML).", completion: .configuration)
        var config: String

        func run() async throws {
            let configuration = try await ConfigurationFile.read(config)
            guard let redis = configuration.idempotency.redis else {
                StandardError.write("this configuration does not keep records in Redis (`idempotency.store`)\n")
                throw ExitCode(ExitStatus.usage)
            }
            if let problem = await StoreAdoption.adopt(redis) {
                StandardError.write(problem + "\n")
                throw ExitCode(ExitStatus.unavailable)
            }
            print("the store is adopted")
        }
    }
}
