package import GatewayCore
package import NIOCore
package import NIOPosix
import Synchronization

/// The files of all event loops, what is in them, and the care for them: what has expired is removed, and what takes too much
/// room is written anew without what nobody needs.
package final class RecordFiles: Sendable {
    package struct Options: Sendable {
        /// Records outlive a loss of power, not only the process.
        package var outlivesMachine = false
        /// In bytes; a file that has as many is closed.
        package var longestSegment = 4 << 20
        /// In bytes; so much may be there besides twice what the records need.
        package var slack = 32 << 20
        package var unixMilliseconds: @Sendable () -> Int64

        package init(unixMilliseconds: @escaping @Sendable () -> Int64) {
            self.unixMilliseconds = unixMilliseconds
        }
    }

    /// The writer of what is written anew.
    private static let ownStream: UInt32 = 0
    /// Of a record that was claimed and settled.
    private static let bytesPerRecord = 2 * (RecordEntry.headBytes + 16)
    /// Younger segments hold what may still be released (see `compact`). In milliseconds; above any lease.
    private static let youngest: Int64 = 600_000

    package let memory: MemoryIdempotencyStore
    let segments: RecordSegments
    /// For what may have to wait for the disk.
    let threads: NIOThreadPool
    private let slack: Int
    private let ownLog: Mutex<OwnLog>

    private struct OwnLog: ~Copyable {
        let log: RecordLog
        var callers: [UInt32] = []
    }

    package init(on disk: any Disk, _ memory: MemoryIdempotencyStore, threads: NIOThreadPool, _ options: Options) {
        self.memory = memory
        self.threads = threads
        slack = options.slack
        let segments = RecordSegments(
            on: disk, longest: options.longestSegment, outlivesMachine: options.outlivesMachine,
            unixMilliseconds: options.unixMilliseconds)
        self.segments = segments
        ownLog = Mutex(OwnLog(log: RecordLog(stream: Self.ownStream, in: segments)))
    }

    var outlivesMachine: Bool { segments.outlivesMachine }

    /// In all files.
    package var bytes: Int { segments.bytes }

    /// - Parameter stream: counted from 0; that of the event loop.
    func makeLog(stream: Int) -> RecordLog {
        RecordLog(stream: Self.ownStream + 1 + UInt32(clamping: stream), in: segments)
    }

    // MARK: Entries

    /// What entries know a caller by: FNV-1a, 32 bits. Two that meet share a share, and nothing else.
    package static func hash(ofCaller id: String) -> UInt32 {
        id.utf8.reduce(2_166_136_261) { ($0 ^ UInt32($1)) &* 16_777_619 }
    }

    func entry(of change: RecordChange, now: NIODeadline, _ callers: [UInt32]) -> RecordEntry {
        let unixNow = segments.unixMilliseconds()
        func unix(_ deadline: NIODeadline) -> Int64 { unixNow + (deadline - now).nanoseconds / 1_000_000 }
        let state: RecordEntry.State =
            switch change.record?.state {
            case .sending(let owner, let leaseEnds, let isResend):
                .sending(owner: owner, leaseEnds: unix(leaseEnds), isResend: isResend)
            case .unknown: .unknown
            case .accepted(let response): .accepted(response)
            case nil: .absent
            }
        return RecordEntry(
            number: change.number, scope: change.scope, fingerprint: change.fingerprint,
            caller: callers.indices.contains(change.caller) ? callers[change.caller] : 0, expires: unix(change.expires),
            state: state)
    }

    // MARK: Care

    /// To be called from time to time, by a thread that may wait for the disk.
    package func maintain(now: NIODeadline) throws(DiskError) {
        try segments.removeExpired()
        try compact(now: now)
    }

    /// Writes anew what is still in force of the oldest segment, and removes it.
    ///
    /// A record that is gone is not written at all, although an older entry of it might come to light again. It cannot: the
    /// claim of a record that was released stands before the release in the segments of one writer, and those are taken in their
    /// order; and what is written anew here is never released, since it is older than any lease.
    private func compact(now: NIODeadline) throws(DiskError) {
        let room = 2 * memory.count * Self.bytesPerRecord + slack
        guard segments.bytes > room, let oldest = segments.oldest,
            oldest.closed <= segments.unixMilliseconds() - Self.youngest
        else { return }
        let bytes = try segments.disk.read(oldest.name)
        let failure = ownLog.withLock { own -> DiskError? in
            do throws(DiskError) {
                guard var reader = (try? SegmentReader(bytes)) ?? nil else { return nil }
                while let entry = (try? reader.next()) ?? nil {
                    guard let change = memory.currentChange(of: entry.scope) else { continue }
                    try own.log.append(self.entry(of: change, now: now, own.callers))
                }
                if outlivesMachine {
                    let (files, isFolderChanged) = own.log.takeUnsynced()
                    for file in files { try file.sync() }
                    if isFolderChanged { try segments.disk.syncFolder() }
                }
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
        try segments.remove(oldest)
    }

    /// - Parameter callers: their ids, by label.
    package func use(callers: [String]) {
        let hashes = callers.map(Self.hash(ofCaller:))
        ownLog.withLock { $0.callers = hashes }
    }

    package func close() { ownLog.withLock { $0.log.close() } }
}
