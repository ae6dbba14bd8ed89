import FoundationEssentials
import GatewayCore
import GatewayFiles
import GatewayRedis
import NIOCore
import Synchronization

/// Writes the records of a store down, a line of JSON each.
final class RecordExport: Sendable {
    struct Result: Equatable {
        var records = 0
        /// Keys that hold something else than a record.
        var strangers = 0
    }

    private struct State {
        var result = Result()
        var seen: Set<String> = []
        var failure: (any Error)?
    }

    private let state = Mutex(State())
    /// Told some lines at a time; throws if they cannot be written.
    private let write: @Sendable (String) throws -> Void

    init(write: @escaping @Sendable (String) throws -> Void) {
        self.write = write
    }

    /// Each record once, however often it comes.
    private func write(_ records: [ExportedRecord], strangers: Int = 0) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        state.withLock { state in
            guard state.failure == nil else { return }
            do {
                let new = records.filter { state.seen.insert($0.scope).inserted }
                let lines = try new.map { String(decoding: try encoder.encode($0), as: UTF8.self) + "\n" }
                try write(lines.joined())
                state.result.records += new.count
                state.result.strangers += strangers
            } catch { state.failure = error }
        }
    }

    private func result() throws -> Result {
        try state.withLock { state in
            if let failure = state.failure { throw failure }
            return state.result
        }
    }

    func run(_ overview: RecordOverview) throws -> Result {
        write(overview.records(unixNow: Int64(UnixTime.milliseconds())).compactMap { ExportedRecord($0) })
        return try result()
    }

    func run(_ redis: RedisConfiguration) async throws -> Result {
        var redis = redis
        // Pages are longer than what a message asks for.
        redis.commandTimeout = .seconds(10)
        try await RedisSession.run(redis, name: "skillgate-export") { server in
            try await server.eventLoop.flatSubmit {
                server.value.readRecords { records, strangers in
                    let now = Int64(UnixTime.milliseconds())
                    self.write(records.compactMap { ExportedRecord($0, unixNow: now) }, strangers: strangers)
                }
            }.get()
        }
        return try result()
    }
}
