import GatewayCore

/// Gathers the lines of logs that belong to one message, or to the few that a name stands for.
struct MessageLines {
    /// A request may report many messages; so many stories are told at most.
    static let mostRecords = 16

    /// By the name of the record.
    private(set) var ofRecords: [String: [LogLine]] = [:]
    /// Of requests that have no record: without a key, or refused before.
    private(set) var ofNone: [LogLine] = []
    private(set) var isCut = false

    /// - Parameters:
    ///   - name: of whatever kind.
    ///   - records: those that may be the name's.
    ///   - caller: whose requests count; nil: everybody's.
    init(_ name: String, _ records: [String], caller: String?, in search: inout LogSearch) {
        func counts(_ line: LogLine) -> Bool { caller == nil || line.caller == nil || line.caller == caller }
        let named = search.lines(with: Set([name] + records)).filter(counts)
        var all = Set(named.compactMap(\.record)).sorted()
        isCut = all.count > Self.mostRecords
        all = Array(all.prefix(Self.mostRecords))
        // What else there is of the same records: retries, reports, what operators and callers did to them.
        let recorded =
            all.isEmpty ? [] : search.lines(with: Set(all)).filter { counts($0) && all.contains($0.record ?? "") }
        ofRecords = Dictionary(grouping: recorded) { $0.record ?? "" }
        ofNone = named.filter { line in line.record == nil && !recorded.contains { $0.isSameRequest(line) } }
        // What the audit log says of the same requests. Any caller may call its request what another has called its own.
        let requests = recorded + ofNone
        let decisions = search.lines(
            with: Set(requests.filter { $0.action == nil && $0.receipt == nil }.compactMap(\.id))
        )
        .filter { $0.action == "message" && counts($0) }
        for (record, lines) in ofRecords {
            ofRecords[record] = lines + decisions.filter { decision in lines.contains { $0.isSameRequest(decision) } }
        }
        ofNone += decisions.filter { decision in
            ofNone.contains { $0.isSameRequest(decision) && $0 != decision }
        }
    }
}

extension LogLine {
    fileprivate func isSameRequest(_ other: LogLine) -> Bool { id != nil && id == other.id && caller == other.caller }
}
