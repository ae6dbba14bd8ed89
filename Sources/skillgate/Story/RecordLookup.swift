import GatewayCore
import GatewayFiles
import GatewayRedis
import NIOCore

/// Reads single records of the store of a configuration, which gateways may be using.
struct RecordLookup {
    let configuration: GatewayConfiguration

    /// Those that there are.
    ///
    /// - Returns: also why some may be missing; nil: none is.
    func find(_ scopes: [IdempotencyScope]) async -> (records: [ExportedRecord], trouble: String?) {
        guard !scopes.isEmpty else { return ([], nil) }
        let idempotency = configuration.idempotency
        do {
            switch idempotency.kind {
            case .memory: return ([], "they are in the memory of the gateway's process")
            case .file: return try inFiles(idempotency.file.directory ?? "", Set(scopes))
            case .redis:
                guard let redis = idempotency.redis else { return ([], nil) }
                return (try await inRedis(redis, scopes), nil)
            }
        } catch {
            return ([], "\(error)")
        }
    }

    private func inFiles(
        _ folder: String, _ scopes: Set<IdempotencyScope>
    ) throws(DiskError) -> (records: [ExportedRecord], trouble: String?) {
        let overview = try RecordOverview(DiskFolder(folder))
        let records = overview.records(unixNow: Int64(UnixTime.milliseconds()))
            .filter { scopes.contains($0.scope) }.compactMap { ExportedRecord($0) }
        let isDamaged = overview.reports.contains { !$0.damages.isEmpty }
        return (records, isDamaged ? "files of records are damaged (`skillgate records check`)" : nil)
    }

    private func inRedis(_ redis: RedisConfiguration, _ scopes: [IdempotencyScope]) async throws -> [ExportedRecord] {
        try await RedisSession.run(redis, name: "skillgate-trace") { server in
            var records: [ExportedRecord] = []
            for scope in scopes {
                let promise = server.eventLoop.makePromise(of: KeyReport.self)
                server.eventLoop.execute {
                    server.value.report(on: scope) { promise.completeWith($0.mapError { $0 }) }
                }
                let report = try await promise.futureResult.get()
                let record = StoredRecord(scope: scope, report: report, timeToLive: report.remaining ?? .zero)
                if let record = ExportedRecord(record, unixNow: Int64(UnixTime.milliseconds())) {
                    records.append(record)
                }
            }
            return records
        }
    }
}
