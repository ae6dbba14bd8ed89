import FoundationEssentials
import GatewayCore
import GatewayFiles
import GatewayRedis
import NIOCore
import NIOPosix

/// Writes the records of a store down, a line of JSON each.
struct RecordExport {

    private let encoder: JSONEncoder
    /// Told each line.
    private let write: @Sendable (String) -> Void

    init(write: @escaping @Sendable (String) -> Void) {
        self.write = write
        encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    }

    private func write(_ record: ExportedRecord) throws {
        write(String(decoding: try encoder.encode(record), as: UTF8.self))
    }

    func run(_ overview: RecordOverview) throws {
        for entry in overview.records(unixNow: Int64(UnixTime.milliseconds())) {
            if let record = ExportedRecord(entry) { try write(record) }
        }
    }

    /// - Returns: how many keys hold something else than a record.
    func run(_ redis: RedisConfiguration) async throws -> Int {
        let (patience, pause) = (Duration.seconds(5), Duration.milliseconds(20))
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { group.shutdownGracefully { _ in } }
        let eventLoop = group.next()
        let server = try await eventLoop.submit {
            let server = try RedisClient(
                redis, clientName: "skillgate-export", eventLoop: eventLoop, unixMilliseconds: UnixTime.milliseconds)
            server.start()
            return NIOLoopBound(server, eventLoop: eventLoop)
        }.get()
        let end = ContinuousClock.now + patience
        while ContinuousClock.now < end, try await !eventLoop.submit({ server.value.isUp }).get() {
            try await Task.sleep(for: pause)
        }
        let strangers = NIOLoopBoundBox.makeBoxSendingValue(0, eventLoop: eventLoop)
        let mistake = NIOLoopBoundBox<(any Error)?>.makeBoxSendingValue(nil, eventLoop: eventLoop)
        try await eventLoop.flatSubmit {
            server.value.readRecords { records, others in
                strangers.value += others
                let now = Int64(UnixTime.milliseconds())
                do {
                    for record in records { try ExportedRecord(record, unixNow: now).map(write) }
                } catch { mistake.value = error }
            }
        }.get()
        try await eventLoop.submit { server.value.shutDown() }.get()
        return try await eventLoop.submit { () -> Int in
            if let error = mistake.value { throw error }
            return strangers.value
        }.get()
    }
}
