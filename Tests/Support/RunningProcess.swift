import Foundation
import Synchronization

/// A process the test started and ends: what it writes to standard error can be waited for.
package final class RunningProcess: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package var description: String

        package init(description: String) {
            self.description = description
        }
    }

    private struct State {
        var log = ""
        var waiters: [(pattern: String, continuation: CheckedContinuation<String?, Never>)] = []
        var outputEnded = false
        var status: Int32?
        var exitWaiters: [CheckedContinuation<Int32, Never>] = []
    }

    private final class Shared: Sendable {
        let state = Mutex(State())
    }

    private let shared: Shared
    package let processID: Int32

    /// The binary under test, as `Tests/run` says.
    package static var skillgate: String {
        ProcessInfo.processInfo.environment["TEST_SKILLGATE"] ?? ".build/debug/skillgate"
    }

    package init(_ executable: String, _ arguments: [String], environment: [String: String] = [:]) throws {
        // The machine's own proxy is no way to a server of a test.
        let variables = ProcessInfo.processInfo.environment.filter { !$0.key.lowercased().hasSuffix("_proxy") }
            .merging(environment) { $1 }
        let (child, output) = try ChildProcess.start(executable, arguments, environment: variables)
        let shared = Shared()
        Thread.detachNewThread {
            ChildProcess.read(output) { Self.received($0, isEnd: $0.isEmpty, shared) }
        }
        Thread.detachNewThread { Self.exited(ChildProcess.wait(for: child), shared) }
        processID = child
        self.shared = shared
    }

    /// All it wrote, once it has closed its output.
    package func output() async -> String {
        _ = try? await line(with: "\u{0}")
        return log
    }

    package var log: String { shared.state.withLock { $0.log } }

    private static func received(_ bytes: [UInt8], isEnd: Bool, _ shared: Shared) {
        // Lines of a terminal end in two characters, which Swift takes for one that is no line end.
        let text = String(decoding: bytes, as: UTF8.self).replacingOccurrences(of: "\r\n", with: "\n")
        let due = shared.state.withLock { state in
            state.log += text
            state.outputEnded = state.outputEnded || isEnd
            let log = state.log
            let due = state.waiters.filter { isEnd || line(with: $0.pattern, in: log) != nil }
            state.waiters.removeAll { isEnd || line(with: $0.pattern, in: log) != nil }
            return due.map { ($0.continuation, line(with: $0.pattern, in: log)) }
        }
        for (continuation, line) in due { continuation.resume(returning: line) }
    }

    private static func exited(_ status: Int32, _ shared: Shared) {
        let waiters = shared.state.withLock { state in
            guard state.status == nil else { return [CheckedContinuation<Int32, Never>]() }
            state.status = status
            defer { state.exitWaiters = [] }
            return state.exitWaiters
        }
        for waiter in waiters { waiter.resume(returning: status) }
    }

    private static func line(with pattern: String, in log: String) -> String? {
        // A line that has no end yet may be half of one.
        let end = log.lastIndex(of: "\n") ?? log.startIndex
        return log[..<end].split(separator: "\n").first { $0.contains(pattern) }.map(String.init)
    }

    /// The first line that holds `pattern`.
    package func line(with pattern: String) async throws -> String {
        let line = await withCheckedContinuation { continuation in
            let found = shared.state.withLock { state -> String?? in
                if let line = Self.line(with: pattern, in: state.log) { return .some(line) }
                if state.outputEnded { return .some(nil) }
                state.waiters.append((pattern, continuation))
                return nil
            }
            if let found { continuation.resume(returning: found) }
        }
        guard let line else { throw Failure(description: "the process ended without `\(pattern)`:\n\(log)") }
        return line
    }

    /// The port of the address that is member `name` of a line, the first that has such a member.
    package func port(_ name: String) async throws -> Int {
        let line = try await line(with: "\"\(name)\":")
        let members = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        let address = members?[name] as? String
        guard let port = address?.split(separator: ":").last.flatMap({ Int($0) }) else {
            throw Failure(description: "no port in: \(line)")
        }
        return port
    }

    /// Nothing is signalled that has ended: its number may be another's by now.
    package func signal(_ signal: Int32) {
        shared.state.withLock { state in
            if state.status == nil { kill(processID, signal) }
        }
    }

    package func exitStatus() async -> Int32 {
        await withCheckedContinuation { continuation in
            let status = shared.state.withLock { state in
                if state.status == nil { state.exitWaiters.append(continuation) }
                return state.status
            }
            if let status { continuation.resume(returning: status) }
        }
    }
}
