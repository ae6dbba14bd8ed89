import GatewayCore

/// The segments that one writer appends to, one after the other. Bound to its event loop, or whoever else writes.
final class RecordLog {
    /// What was written since the last sync.
    struct Unsynced: Sendable {
        var files: [any WritableFile] = []
        /// Whether there is a file that was not there before.
        var isFolderChanged = false
        /// How far the segment in use has been written.
        var offset = 0
        fileprivate var segment = ""

        func sync(on disk: any Disk) throws(DiskError) {
            for file in files { try file.sync() }
            if isFolderChanged { try disk.syncFolder() }
        }
    }

    private let stream: UInt32
    private let segments: RecordSegments
    private var file: (any WritableFile)?
    private var open = SegmentFile(name: "", bytes: 0, entries: 0, expires: .min)
    private var buffer: [UInt8] = []
    /// Nothing may be appended to the segment: it ends in a part of an entry, or what the disk has of it is not known.
    private var isUnusable = false
    private var isEnded = false
    private var unsynced = Unsynced()
    /// Written into the segment with what comes next: how much of it is synced.
    private var pendingMark: Int?

    /// - Parameter stream: unique among the writers of the process.
    init(stream: UInt32, in segments: RecordSegments) {
        self.stream = stream
        self.segments = segments
        buffer.reserveCapacity(1024)
    }

    /// Appends an entry. Once it returns, the entry outlives the process.
    ///
    /// - Throws: nothing was appended.
    func append(_ entry: RecordEntry) throws(DiskError) {
        guard !isEnded else { throw DiskError("the gateway is ending") }
        guard !segments.areGone else { throw Self.gone }
        let file = try fileWithRoom(firstNumber: entry.number)
        buffer.removeAll(keepingCapacity: true)
        if let offset = pendingMark { RecordEntry.writeMark(synced: offset, to: &buffer) }
        entry.write(to: &buffer)
        try write(to: file)
        pendingMark = nil
        open.entries += 1
        open.expires = max(open.expires, entry.expires)
    }

    /// Appends as much as an entry takes, and says nothing with it: whether one could be written.
    ///
    /// - Parameter number: as of an entry.
    func probe(number: UInt64) throws(DiskError) {
        guard !segments.areGone else { throw Self.gone }
        let file = try fileWithRoom(firstNumber: number)
        buffer.removeAll(keepingCapacity: true)
        while buffer.count < RecordEntry.headBytes + 16 { RecordEntry.writeMark(synced: 0, to: &buffer) }
        try write(to: file)
    }

    private static let gone = DiskError("the files of records were taken away; a restart is needed")

    private func write(to file: any WritableFile) throws(DiskError) {
        do throws(DiskError) {
            try file.append(buffer)
        } catch {
            // Half an entry must not stand before a whole one.
            do throws(DiskError) { try file.truncate(to: open.bytes) } catch { isUnusable = true }
            throw error
        }
        open.bytes += buffer.count
        segments.added(buffer.count)
        if segments.outlivesMachine {
            if unsynced.files.last !== file { unsynced.files.append(file) }
            (unsynced.offset, unsynced.segment) = (open.bytes, open.name)
        }
    }

    private func fileWithRoom(firstNumber: UInt64) throws(DiskError) -> any WritableFile {
        if let file, !isUnusable, open.bytes < segments.longest { return file }
        let segment = RecordSegment(
            stream: stream, firstNumber: firstNumber, made: segments.unixMilliseconds(),
            isSynced: segments.outlivesMachine)
        let next = try segments.disk.create(segment.fileName)
        seal()
        file = next
        isUnusable = false
        pendingMark = nil
        open = SegmentFile(name: segment.fileName, bytes: 0, entries: 0, expires: .min)
        buffer.removeAll(keepingCapacity: true)
        buffer += segment.header()
        segments.opened(segment.fileName)
        do throws(DiskError) {
            try write(to: next)
            unsynced.isFolderChanged = segments.outlivesMachine
        } catch {
            // Without its header, nothing may be appended to it.
            file = nil
            segments.closed(open)
            throw error
        }
        return next
    }

    /// Nothing will be appended to the segment in use.
    private func seal() {
        guard let file else { return }
        if !isUnusable {
            buffer.removeAll(keepingCapacity: true)
            RecordEntry.writeSeal(entries: open.entries, to: &buffer)
            // Without its seal it is just as good: only damage at its very end could not be told from an end that was cut off.
            try? write(to: file)
        }
        segments.closed(open)
        self.file = nil
    }

    /// Nothing will be appended at all.
    func end() {
        seal()
        isEnded = true
    }

    // MARK: Syncing

    /// What has to be synced now; the caller says what came of it.
    func takeUnsynced() -> Unsynced {
        defer { unsynced = Unsynced() }
        return unsynced
    }

    func synced(_ taken: Unsynced) {
        if taken.segment == open.name, file != nil, !isUnusable { pendingMark = taken.offset }
    }

    /// A sync failed: the system may have dropped what was to be synced, and would not say so again. Nothing that was written since the
    /// last sync counts, and what comes next goes to another segment.
    func syncFailed() {
        isUnusable = true
        unsynced = Unsynced()
    }
}
