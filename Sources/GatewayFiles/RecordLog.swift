import GatewayCore

/// The segments that one writer adds to, one after the other. Bound to its event loop, or whoever else writes.
final class RecordLog {
    private let stream: UInt32
    private let segments: RecordSegments
    private var file: (any WritableFile)?
    private var open = SegmentFile(name: "", bytes: 0, entries: 0, expires: .min)
    private var buffer: [UInt8] = []
    /// What could not be added, so that its place is not where the next belongs.
    private var isTorn = false
    private var unsynced: (files: [any WritableFile], isFolderChanged: Bool) = ([], false)

    /// - Parameter stream: no other writer of the process has the same.
    init(stream: UInt32, in segments: RecordSegments) {
        self.stream = stream
        self.segments = segments
        buffer.reserveCapacity(1024)
    }

    /// What was added to since this was last asked, and whether there is a file that was not there before.
    func takeUnsynced() -> (files: [any WritableFile], isFolderChanged: Bool) {
        defer { unsynced = ([], false) }
        return unsynced
    }

    /// Adds an entry. Once it returns, the entry outlives the process.
    ///
    /// - Throws: nothing was added.
    func append(_ entry: RecordEntry) throws(DiskError) {
        let file = try fileWithRoom(for: entry)
        buffer.removeAll(keepingCapacity: true)
        entry.write(to: &buffer)
        try add(to: file)
        open.entries += 1
        open.expires = max(open.expires, entry.expires)
    }

    private func add(to file: any WritableFile) throws(DiskError) {
        do throws(DiskError) {
            try file.append(buffer)
        } catch {
            // Half an entry must not stand before a whole one.
            do throws(DiskError) { try file.truncate(to: open.bytes) } catch { isTorn = true }
            throw error
        }
        open.bytes += buffer.count
        segments.added(buffer.count)
        if segments.outlivesMachine, unsynced.files.last !== file { unsynced.files.append(file) }
    }

    private func fileWithRoom(for entry: RecordEntry) throws(DiskError) -> any WritableFile {
        if let file, !isTorn, open.bytes < segments.longest { return file }
        let segment = RecordSegment(stream: stream, firstNumber: entry.number, made: segments.unixMilliseconds())
        let next = try segments.disk.create(segment.fileName)
        close()
        file = next
        isTorn = false
        open = SegmentFile(name: segment.fileName, bytes: 0, entries: 0, expires: .min)
        buffer.removeAll(keepingCapacity: true)
        buffer += segment.header()
        do throws(DiskError) {
            try add(to: next)
            unsynced.isFolderChanged = segments.outlivesMachine
        } catch {
            // Without its header, nothing may be added to it.
            file = nil
            try? segments.disk.remove(segment.fileName)
            throw error
        }
        return next
    }

    /// Nothing will be added to the segment in use.
    func close() {
        guard let file else { return }
        if !isTorn {
            buffer.removeAll(keepingCapacity: true)
            RecordEntry.writeSeal(entries: open.entries, to: &buffer)
            // Without its seal it is as good: only damage of its very end could not be told from an end that was cut off.
            try? add(to: file)
        }
        segments.closed(open)
        self.file = nil
    }
}
