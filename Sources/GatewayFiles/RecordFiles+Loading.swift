import GatewayCore
package import NIOCore

/// Why records cannot be used as they are.
package struct RecordFilesError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Nil: none in particular.
    package var file: String?
    /// In bytes.
    package var offset: Int?
    package var reason: String

    package var description: String {
        let place = [file, offset.map { "byte \($0)" }].compactMap { $0 }.joined(separator: ", ")
        return place.isEmpty ? reason : "\(place): \(reason)"
    }
}

/// What was found in the files.
package struct LoadedRecords: Equatable, Sendable {
    package var entries = 0
    /// Ends that were not written whole, and were cut off.
    package var tornEnds = 0
}

extension RecordFiles {
    /// Puts the records back that earlier processes wrote down. To be called once, before anything is written.
    ///
    /// - Parameter callers: their ids, by label.
    package func load(now: NIODeadline, callers: [String]) throws(RecordFilesError) -> LoadedRecords {
        var loaded = LoadedRecords()
        let unixNow = segments.unixMilliseconds()
        let labels = Dictionary(
            callers.enumerated().map { (Self.hash(ofCaller: $0.element), $0.offset) },
            uniquingKeysWith: { one, _ in one })
        let names = try Self.segmentNames(on: segments.disk)
        let bytes = names.reduce(0) { $0 + ((try? segments.disk.size(of: $1)) ?? 0) }
        memory.reserve(bytes / Self.bytesPerRecord)
        var streams = Self.streams(names)
        let restorer = RecordRestorer(memory, now: now)
        // Also where a file is found damaged: what was handed over is not abandoned.
        defer { restorer.finish() }
        // Entries of one caller come in a row.
        var last: (caller: UInt32?, label: Int) = (nil, 0)
        for index in streams.indices { try streams[index].advance(segments, &loaded) }
        while let index = Self.first(of: streams), let entry = streams[index].head {
            loaded.entries += 1
            if entry.caller != last.caller { last = (entry.caller, labels[entry.caller] ?? callers.count) }
            restorer.add(change(entry, label: last.label, unixNow, now))
            try streams[index].advance(segments, &loaded)
        }
        restorer.finish()
        memory.restored()
        use(callers: callers)
        if outlivesMachine { try syncFound() }
        return loaded
    }

    /// What an earlier process wrote may not be synced, and callers are about to be told of it.
    private func syncFound() throws(RecordFilesError) {
        do throws(DiskError) {
            for file in segments.all { try segments.disk.sync(file.name) }
            try segments.disk.syncFolder()
        } catch {
            throw RecordFilesError(reason: error.description)
        }
    }

    /// The stream whose next entry is the oldest of all.
    private static func first(of streams: [SegmentStream]) -> Int? {
        var first: (index: Int, number: UInt64)?
        for (index, stream) in streams.enumerated() {
            guard let number = stream.head?.number, number < first?.number ?? .max else { continue }
            first = (index, number)
        }
        return first?.index
    }

    private static func segmentNames(on disk: any Disk) throws(RecordFilesError) -> [String] {
        do throws(DiskError) {
            return try disk.segmentNames()
        } catch {
            throw RecordFilesError(reason: error.description)
        }
    }

    private static func streams(_ names: [String]) -> [SegmentStream] {
        let byStream = Dictionary(grouping: names, by: RecordSegment.stream(ofFile:))
        return byStream.sorted { $0.key < $1.key }.map { SegmentStream(names: $0.value) }
    }

    /// In milliseconds; no record lives longer, whatever a file says.
    private static let longestLife: Int64 = 400 * 86_400_000

    private func change(
        _ entry: RecordEntry, label: Int, _ unixNow: Int64, _ now: NIODeadline
    ) -> RecordChange {
        func deadline(_ unix: Int64) -> NIODeadline {
            let (left, overflows) = unix.subtractingReportingOverflow(unixNow)
            return now + .milliseconds(overflows ? -1 : min(max(left, -1), Self.longestLife))
        }
        let expires = deadline(entry.expires)
        let state: IdempotencyRecord.State? =
            switch entry.state {
            case .sending(let owner, let leaseEnds, let isResend):
                // A clock that was set back makes no lease longer.
                .sending(owner: owner, leaseEnds: min(deadline(leaseEnds), now + longestLease), isResend: isResend)
            case .unknown: .unknown
            case .accepted(let response): .accepted(response)
            case .absent: nil
            }
        let record = expires > now ? state : nil
        return RecordChange(
            number: entry.number, scope: entry.scope, caller: label,
            record: record.map { IdempotencyRecord(fingerprint: entry.fingerprint, state: $0, expires: expires) },
            fingerprint: entry.fingerprint, expires: expires)
    }
}

/// What one writer wrote, in its order.
struct SegmentStream {
    private var names: [String]
    private var reader: SegmentReader?
    private var file = SegmentFile(name: "", bytes: 0, entries: 0, expires: .min)
    /// The next entry; nil at the end.
    private(set) var head: RecordEntry?

    init(names: [String]) {
        self.names = names.reversed()
    }

    mutating func advance(_ segments: RecordSegments, _ loaded: inout LoadedRecords) throws(RecordFilesError) {
        do throws(SegmentDamage) {
            while true {
                if let entry = try reader?.next() {
                    file.entries += 1
                    file.expires = max(file.expires, entry.expires)
                    return head = entry
                }
                try endFile(segments, &loaded)
                guard let name = names.popLast() else { return head = nil }
                try open(name, segments, &loaded)
            }
        } catch {
            throw RecordFilesError(file: file.name, offset: error.offset, reason: error.reason)
        }
    }

    private mutating func open(
        _ name: String, _ segments: RecordSegments, _ loaded: inout LoadedRecords
    ) throws(SegmentDamage) {
        file = SegmentFile(name: name, bytes: 0, entries: 0, expires: .min)
        let bytes: [UInt8]
        do throws(DiskError) { bytes = try segments.disk.read(name) } catch {
            throw SegmentDamage(offset: nil, reason: error.description)
        }
        file.bytes = bytes.count
        reader = try SegmentReader(bytes, name: name)
        // Its header was not written whole, so nothing else was.
        if reader == nil {
            loaded.tornEnds += 1
            try? segments.disk.remove(name)
        }
    }

    private mutating func endFile(_ segments: RecordSegments, _ loaded: inout LoadedRecords) throws(SegmentDamage) {
        guard let end = reader?.end else { return }
        reader = nil
        if case .torn(let offset) = end {
            loaded.tornEnds += 1
            do throws(DiskError) { try segments.disk.truncate(file.name, to: offset) } catch {
                throw SegmentDamage(offset: nil, reason: error.description)
            }
            file.bytes = offset
        }
        // The next one may begin with the number that this was named after.
        if file.entries == 0 { try? segments.disk.remove(file.name) } else { segments.found(file) }
    }
}
