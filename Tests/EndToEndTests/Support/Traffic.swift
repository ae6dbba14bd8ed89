import Foundation
import NIOCore
import Synchronization
import TestSupport
import TokenEndpointClient

/// Messages that go on being sent while the test changes something.
final class Traffic: Sendable {
    private struct State {
        var statuses: [Int: Int] = [:]
        var isOver = false
        var waiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []

        var count: Int { statuses.values.reduce(0, +) }
    }

    private let state = Mutex(State())

    /// Sends on some connections at once, each for a few messages, until `body` returns.
    ///
    /// - Parameters:
    ///   - request: a whole request, by the message's number.
    /// - Returns: how many answers had which status; 0 stands for a connection that failed.
    static func flow(
        by way: @escaping @Sendable () throws -> RawConnection.Way, senders: Int = 6,
        request: @escaping @Sendable (Int) -> String, _ body: (Traffic) async throws -> Void
    ) async throws -> [Int: Int] {
        let traffic = Traffic()
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            for sender in 0..<senders {
                tasks.addTask {
                    var first = sender * 1_000_000
                    while !traffic.isOver {
                        let number = first
                        await traffic.send(by: way) { request(number + $0) }
                        first += 100
                    }
                }
            }
            do {
                try await body(traffic)
            } catch {
                traffic.end()
                throw error
            }
            traffic.end()
            try await tasks.waitForAll()
            return traffic.state.withLock { $0.statuses }
        }
    }

    private var isOver: Bool { state.withLock { $0.isOver } }

    private func end() { state.withLock { $0.isOver = true } }

    /// A connection and twenty messages on it.
    private func send(
        by way: @Sendable () throws -> RawConnection.Way, _ request: @escaping @Sendable (Int) -> String
    ) async {
        do {
            try await RawConnection.with(way()) { exchange in
                for number in 0..<20 where !self.isOver {
                    guard let answer = try await exchange.exchange(request(number)) else { return self.count(0) }
                    self.count(answer.status)
                    if answer.field("Connection") == "close" { return }
                }
            }
        } catch {
            count(0)
        }
    }

    private func count(_ status: Int) {
        let due = state.withLock { state in
            state.statuses[status, default: 0] += 1
            let count = state.count
            let due = state.waiters.filter { $0.count <= count }
            state.waiters.removeAll { $0.count <= count }
            return due
        }
        for waiter in due { waiter.continuation.resume() }
    }

    /// Returns when so many more messages have been answered.
    func more(_ messages: Int) async {
        await withCheckedContinuation { continuation in
            state.withLock { $0.waiters.append(($0.count + messages, continuation)) }
        }
    }
}

extension TestBed {
    /// Changes the configuration file, and returns when it is in force.
    func change(_ old: String, to new: String) async throws {
        let yaml = try String(contentsOf: folder.appendingPathComponent("skillgate.yaml"), encoding: .utf8)
        guard yaml.contains(old) else { throw RawConnection.Unexpected(description: "no `\(old)` in \(yaml)") }
        try await load(yaml.replacingOccurrences(of: old, with: new))
    }

    /// Takes another configuration file, and returns when it is in force, or refused.
    func load(_ yaml: String, result: String = "success") async throws {
        let before = try await reloads(result)
        try replace("skillgate.yaml", with: yaml)
        gateway.signal(SIGHUP)
        try await until("a reload") { try await reloads(result) != before }
    }

    /// How many reloads had this result.
    func reloads(_ result: String) async throws -> Int {
        let page = try await Self.transfer("GET", adminURL + "/metrics").text
        let name = #"skillgate_configuration_reloads_total{result="\#(result)"} "#
        guard let line = page.split(separator: "\n").first(where: { $0.hasPrefix(name) }),
            let count = Int(line.dropFirst(name.count))
        else { throw RawConnection.Unexpected(description: "no reloads in the metrics") }
        return count
    }
}
