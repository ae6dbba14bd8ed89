import GatewayCore

/// What is in one file of records.
package struct SegmentReport: Equatable, Sendable {
    package var name: String
    package var bytes = 0
    package var entries = 0
    /// Nil for a file whose header is not whole.
    package var end: SegmentReader.End?
    /// Places that are not as they were written, the end aside.
    package var damages: [SegmentDamage] = []
}

/// Looks at files of records without using them, and keeps what is whole of those that are damaged.
package enum RecordInspection {
    /// Reads all files, also while a gateway writes to them.
    ///
    /// - Parameter body: given each entry that is whole, in the order of its file.
    package static func inspect(
        _ disk: any Disk, _ body: (RecordEntry) -> Void = { _ in }
    ) throws(DiskError) -> [SegmentReport] {
        var reports: [SegmentReport] = []
        for name in try disk.segmentNames() {
            reports.append(inspect(name, try disk.read(name), body))
        }
        return reports
    }

    private static func inspect(_ name: String, _ bytes: [UInt8], _ body: (RecordEntry) -> Void) -> SegmentReport {
        var report = SegmentReport(name: name, bytes: bytes.count)
        var reader: SegmentReader
        do throws(SegmentDamage) {
            guard let whole = try SegmentReader(bytes, name: name) else { return report }
            reader = whole
        } catch {
            report.damages.append(error)
            reader = SegmentReader(behindHeaderOf: bytes)
        }
        while reader.end == nil {
            do throws(SegmentDamage) {
                while let entry = try reader.next() {
                    report.entries += 1
                    body(entry)
                }
            } catch {
                report.damages.append(error)
                reader.skipDamage()
            }
        }
        report.end = reader.end
        return report
    }

    /// Rewrites each damaged file with what is whole of it; the old one stays, as `NAME.damaged`. No gateway may be using them.
    ///
    /// - Returns: the files that were damaged.
    package static func repair(_ disk: any Disk) throws(DiskError) -> [SegmentReport] {
        var repaired: [SegmentReport] = []
        for name in try disk.segmentNames() {
            let bytes = try disk.read(name)
            var whole: [UInt8] = []
            var first: UInt64?
            let report = inspect(name, bytes) { entry in
                first = first ?? entry.number
                entry.write(to: &whole)
            }
            guard !report.damages.isEmpty else { continue }
            if let first {
                let segment = RecordSegment(named: name, firstNumber: first)
                let draft = "\(name).repaired"
                try disk.remove(draft)
                let file = try disk.create(draft)
                RecordEntry.writeMark(synced: RecordSegment.headerBytes + whole.count, to: &whole)
                try file.append(segment.header() + whole)
                try file.sync()
                try disk.rename(name, to: "\(name).damaged")
                try disk.rename(draft, to: name)
            } else {
                try disk.rename(name, to: "\(name).damaged")
            }
            try disk.syncFolder()
            repaired.append(report)
        }
        return repaired
    }
}
