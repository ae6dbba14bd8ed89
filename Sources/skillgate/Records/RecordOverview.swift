import GatewayCore
import GatewayFiles

/// What is in a folder of records, for people.
struct RecordOverview {
    private var latest: [IdempotencyScope: RecordEntry] = [:]
    private(set) var reports: [SegmentReport] = []

    init(_ disk: any Disk) throws(DiskError) {
        var latest: [IdempotencyScope: RecordEntry] = [:]
        reports = try RecordInspection.inspect(disk) { entry in
            if latest[entry.scope].map({ $0.number < entry.number }) ?? true { latest[entry.scope] = entry }
        }
        self.latest = latest
    }

    /// Those that have not expired, in the order of their changes.
    func records(unixNow: Int64) -> [RecordEntry] {
        latest.values.filter { $0.expires > unixNow && $0.state != .absent }.sorted { $0.number < $1.number }
    }

    /// - Parameter callers: their ids, for what entries know them by.
    func text(folder: String, callers: [String], unixNow: Int64) -> String {
        let records = records(unixNow: unixNow)
        var (accepted, unknown, inFlight, inDoubt) = (0, 0, 0, 0)
        var byCaller: [UInt32: Int] = [:]
        for record in records {
            byCaller[record.caller, default: 0] += 1
            switch record.state {
            case .accepted: accepted += 1
            case .unknown: unknown += 1
            case .sending(_, let leaseEnds, _): if leaseEnds > unixNow { inFlight += 1 } else { inDoubt += 1 }
            case .absent: break
            }
        }
        let bytes = reports.reduce(0) { $0 + $1.bytes }
        var lines = [
            "\(folder): \(Self.count(records.count, "record")) in \(Self.count(reports.count, "file")), \(bytes) bytes",
            "  accepted \(accepted), unknown \(unknown + inDoubt), being sent \(inFlight)",
        ]
        if let first = records.map(\.expires).min(), let last = records.map(\.expires).max() {
            lines.append(
                "  the first expires in \(Self.time(first - unixNow)), the last in \(Self.time(last - unixNow))")
        }
        let names = Dictionary(
            callers.map { (RecordFiles.hash(ofCaller: $0), $0) },
            uniquingKeysWith: { one, other in "\(one) or \(other)" })
        for (caller, count) in byCaller.sorted(by: { $0.value > $1.value }) {
            lines.append("  \(names[caller] ?? "a caller that is not configured"): \(count)")
        }
        return lines.joined(separator: "\n")
    }

    private static func count(_ number: Int, _ what: String) -> String { "\(number) \(what)\(number == 1 ? "" : "s")" }

    private static func time(_ milliseconds: Int64) -> String {
        switch milliseconds / 1000 {
        case ..<120: "\(milliseconds / 1000) s"
        case ..<7200: "\(milliseconds / 60_000) min"
        default: "\(milliseconds / 3_600_000) h \(milliseconds / 60_000 % 60) min"
        }
    }
}

extension SegmentReport {
    /// A sentence for each thing to be said of the file; empty for one that is whole.
    func sentences(folder: String) -> [String] {
        var sentences = damages.map { "\(folder)/\(name), byte \($0.offset ?? 0): \($0.reason)" }
        if case .torn(let offset) = end {
            sentences.append(
                "\(folder)/\(name), byte \(offset): the end was not written whole; the next start cuts it off, unless a "
                    + "gateway is writing it now")
        }
        if end == nil && damages.isEmpty {
            sentences.append("\(folder)/\(name): its header was not written whole; the next start removes it")
        }
        return sentences
    }
}
