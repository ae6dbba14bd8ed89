import ArgumentParser
import Glibc

/// Exit codes of sysexits.h; the rest of the contract is 0 and what a crash gives.
enum ExitStatus {
    /// Usage or configuration.
    static let usage: Int32 = 64
    /// Input was refused for good.
    static let data: Int32 = 65
    /// A needed service, or an address to listen on, is not there.
    static let unavailable: Int32 = 69
    /// A bug.
    static let software: Int32 = 70
    /// It may go better later.
    static let tryAgain: Int32 = 75
}

enum ConfigurationFile {
    private static let longestRead = Duration.seconds(10)

    /// The configuration of a file; every problem goes to standard error, and the command ends.
    ///
    /// - Parameter isForThisMachine: whether what the machine lacks is a problem, too.
    static func read(_ path: String, isForThisMachine: Bool = true) async throws -> GatewayConfiguration {
        let progress = ReadingProgress()
        let result: Result<GatewayConfiguration, ConfigurationErrors>
        do {
            result = try await BlockingWork().run(within: longestRead) {
                Result { () throws(ConfigurationErrors) in
                    let configuration = try GatewayConfiguration(
                        file: path, environment: Environment.variables(), progress: progress)
                    let problems = isForThisMachine ? configuration.checks.compactMap { $0() } : []
                    guard problems.isEmpty else { throw ConfigurationErrors(problems: problems) }
                    return configuration
                }
            }
        } catch {
            StandardError.write(
                "\(progress.current ?? path) could not be read within \(longestRead); its file system is unresponsive\n"
            )
            throw ExitCode(ExitStatus.usage)
        }
        let configuration = try StandardError.orExit { try result.get() }
        for warning in configuration.warnings { StandardError.write("warning: \(warning)\n") }
        return configuration
    }
}

enum StandardError {
    /// What `read` gives; whatever is wrong goes to standard error, and the command ends as for wrong usage.
    static func orExit<Value: ~Copyable>(_ read: () throws -> Value) throws -> Value {
        do {
            return try read()
        } catch {
            write("\(error)\n")
            throw ExitCode(ExitStatus.usage)
        }
    }

    static func write(_ text: String) { try? SystemOutput.write(text, to: STDERR_FILENO) }
}

enum StandardOutput {
    /// - Throws: if not all of it was written.
    static func write(_ text: String) throws { try SystemOutput.write(text, to: STDOUT_FILENO) }
}

private enum SystemOutput {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    static func write(_ text: String, to descriptor: CInt) throws {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw Failure(description: "cannot write: \(String(cString: strerror(errno)))") }
            bytes = bytes.dropFirst(count)
        }
    }
}

enum Environment {
    /// All variables of the process.
    static func variables() -> [String: String] {
        var variables: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let line = String(cString: text)
            if let equals = line.firstIndex(of: "=") {
                variables[String(line[..<equals])] = String(line[line.index(after: equals)...])
            }
            entry += 1
        }
        return variables
    }
}
