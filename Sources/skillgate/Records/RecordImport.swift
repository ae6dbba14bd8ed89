import FoundationEssentials
import GatewayCore
import Logging
import NIOCore
import NIOPosix

/// Makes exported records again in the store of a configuration, as a gateway would have made them.
struct RecordImport {
    struct Result: Equatable {
        var imported = 0
        /// There is one under the key already.
        var known = 0
        var expired = 0
    }

    private var configuration: GatewayConfiguration

    init(_ configuration: GatewayConfiguration) {
        self.configuration = configuration
        // What is kept in memory alone would be lost with this process.
        self.configuration.idempotency.onStoreUnavailable = .refuse
        self.configuration.idempotency.file.onStoreUnavailable = .refuse
    }

    /// - Parameter advanced: told after each line.
    func run(_ lines: [Substring], advanced: () -> Void) async throws -> Result {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let eventLoop = group.next()
        var logger = Logger(label: "skillgate")
        logger.logLevel = .notice
        let folder = try await LockedFolder.take(for: configuration.idempotency, logger)
        let records = try await IdempotencyRecords(
            configuration, in: folder, callers: configuration.callers.map(\.recordID), eventLoops: 1,
            controlLoop: eventLoop, logger: logger)
        let store = try await eventLoop.submit {
            try records.connect(on: eventLoop, number: 0).map { NIOLoopBound($0, eventLoop: eventLoop) }
        }.get()
        guard let store else {
            throw Failure(
                description: "records in memory end with the process; nothing was imported", status: ExitStatus.usage)
        }
        defer { group.shutdownGracefully { _ in } }
        var result = Result()
        let origin = UInt64.random(in: 0 ... .max)
        for (index, line) in lines.enumerated() {
            try await take(line, number: index + 1, origin, store, &result)
            advanced()
        }
        let backlog = try await eventLoop.submit { store.value.statistics.backlog }.get()
        try await eventLoop.submit { store.value.shutDown() }.get()
        let forgotten = records.local.statistics(now: .now()).evicted
        await records.folder?.close()
        await folder?.release()
        guard backlog == 0 else {
            throw Failure(
                description: "the store has not confirmed \(backlog) records; repeat the import",
                status: ExitStatus.unavailable)
        }
        guard forgotten == 0 else {
            throw Failure(
                description:
                    "there is no room for so many (`idempotency.memory`): the oldest \(forgotten) are forgotten",
                status: ExitStatus.unavailable)
        }
        return result
    }

    struct Failure: Error, CustomStringConvertible {
        var description: String
        var status: Int32
    }

    private static func failure(_ number: Int, _ reason: String, _ result: Result, status: Int32) -> Failure {
        Failure(description: "line \(number): \(reason); \(result.imported) were imported before", status: status)
    }

    private func take(
        _ line: Substring, number: Int, _ origin: UInt64, _ store: NIOLoopBound<LoopStore>, _ result: inout Result
    ) async throws {
        guard let record = try? JSONDecoder().decode(ExportedRecord.self, from: Data(line.utf8)) else {
            throw Self.failure(
                number, "it is no record; expected a line that `skillgate records export` has written", result,
                status: ExitStatus.data)
        }
        if let mistake = record.mistake { throw Self.failure(number, mistake, result, status: ExitStatus.data) }
        // Whose a record is, an export does not say: it counts in nobody's share.
        guard
            let claim = record.claim(
                number: UInt64(number), origin: origin, caller: configuration.callers.count,
                unixNow: Int64(UnixTime.milliseconds()))
        else { return result.expired += 1 }
        switch try await Self.claim(claim, store) {
        case .owned:
            if let settlement = record.settlement, try await Self.settle(claim, settlement, store) == .pending {
                throw Self.failure(
                    number, "the store cannot be reached any more", result, status: ExitStatus.unavailable)
            }
            result.imported += 1
        case .storeUnavailable:
            throw Self.failure(number, "the store cannot be reached", result, status: ExitStatus.unavailable)
        case .storeFull: throw Self.failure(number, "the store is full", result, status: ExitStatus.unavailable)
        case .accepted, .inFlight, .unknown, .mismatched, .indistinct: result.known += 1
        }
    }

    /// A server is given time to answer at first.
    private static func claim(
        _ claim: IdempotencyClaim, _ store: NIOLoopBound<LoopStore>
    ) async throws -> ClaimOutcome {
        let end = ContinuousClock.now + .seconds(5)
        while true {
            let outcome = try await store.eventLoop.flatSubmit {
                store.value.store.claim(claim, on: store.eventLoop).future(on: store.eventLoop)
            }.get().outcome
            guard outcome == .storeUnavailable, ContinuousClock.now < end else { return outcome }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private static func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement, _ store: NIOLoopBound<LoopStore>
    ) async throws -> SettlementReply {
        let nobody = AttemptResult(.success(UpstreamResponse(status: 202)), region: nil)
        return try await store.eventLoop.flatSubmit {
            store.value.store.settle(claim, settlement, result: nobody, on: store.eventLoop).future(on: store.eventLoop)
        }.get()
    }
}

extension Eventual {
    fileprivate func future(on eventLoop: any EventLoop) -> EventLoopFuture<Value> {
        switch self {
        case .now(let value): eventLoop.makeSucceededFuture(value)
        case .later(let future): future
        }
    }
}
