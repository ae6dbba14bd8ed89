package import GatewayCore
package import NIOCore
package import NIOPosix
import Synchronization

/// The files of all event loops, what is in them, and their maintenance: what has expired is removed, and what takes too much room is
/// rewritten without what nobody needs.
package final class RecordFiles: Sendable {
    package struct Options: Sendable {
        /// Records outlive a loss of power, not only the process.
        package var outlivesMachine = false
        /// In bytes; a file that has as many is closed.
        package var longestSegment = 4 << 20
        /// In bytes; so much may be there besides twice what the records need.
        package var slack = 32 << 20
        /// The longest time that a message may take: no claim is released later.
        package var longestLease = Duration.seconds(600)
        package var unixMilliseconds: @Sendable () -> Int64

        package init(unixMilliseconds: @escaping @Sendable () -> Int64) {
            self.unixMilliseconds = unixMilliseconds
        }
    }

    /// The writer of what is rewritten.
    private static let compactionStream: UInt32 = 0
    /// Of a record that was claimed and settled.
    static let bytesPerRecord = 2 * (RecordEntry.headBytes + 16)
    package let memory: MemoryIdempotencyStore
    let segments: RecordSegments
    /// For what may have to wait for the disk.
    let threads: NIOThreadPool
    private let slack: Int
    let longestLease: TimeAmount
    private let compactionLog: Mutex<CompactionLog>
    /// Names of files that are left as they are.
    private let damaged = Mutex<Set<String>>([])

    private struct CompactionLog: ~Copyable {
        let log: RecordLog
        var callers: [UInt32] = []
    }

    package init(on disk: any Disk, _ memory: MemoryIdempotencyStore, threads: NIOThreadPool, _ options: Options) {
        self.memory = memory
        self.threads = threads
        slack = options.slack
        longestLease = TimeAmount(options.longestLease)
        let segments = RecordSegments(
            on: disk, longest: options.longestSegment, outlivesMachine: options.outlivesMachine,
            unixMilliseconds: options.unixMilliseconds)
        self.segments = segments
        compactionLog = Mutex(CompactionLog(log: RecordLog(stream: Self.compactionStream, in: segments)))
    }

    var outlivesMachine: Bool { segments.outlivesMachine }

    /// In all files.
    package var bytes: Int { segments.bytes }

    /// - Parameter stream: counted from 0; that of the event loop.
    func makeLog(stream: Int) -> RecordLog {
        RecordLog(stream: Self.compactionStream + 1 + UInt32(clamping: stream), in: segments)
    }

    // MARK: Entries

    /// What entries know a caller by: FNV-1a, 32 bits. Callers whose hashes collide have one share of the store, and nothing else in common.
    package static func hash(ofCaller id: String) -> UInt32 {
        id.utf8.reduce(2_166_136_261) { ($0 ^ UInt32($1)) &* 16_777_619 }
    }

    /// What turns this process's time into that of the wall clock: milliseconds from one to the other.
    func clockOffset(now: NIODeadline) -> Int64 {
        segments.unixMilliseconds() - Int64(clamping: now.uptimeNanoseconds / 1_000_000)
    }

    /// - Parameters:
    ///   - clockOffset: as of a moment ago.
    ///   - callers: what entries know them by, by label.
    func entry(of change: RecordChange, clockOffset: Int64, _ callers: [UInt32]) -> RecordEntry {
        func unix(_ deadline: NIODeadline) -> Int64 {
            Int64(clamping: deadline.uptimeNanoseconds / 1_000_000) + clockOffset
        }
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

    // MARK: Maintenance

    /// Removes what has expired, and makes room. To be called from time to time, by a thread that may wait for the disk, and by
    /// one at a time.
    ///
    /// - Returns: what is wrong with files that are left as they are; each is told once.
    package func maintain(now: NIODeadline) -> [RecordFilesError] {
        var problems = findMissing()
        let unixNow = segments.unixMilliseconds()
        // First what makes room without needing any.
        for file in segments.all where file.expires <= unixNow {
            do throws(DiskError) { try segments.remove(file) } catch {
                problems.append(RecordFilesError(file: file.name, reason: error.description))
            }
        }
        for file in segments.all where takesTooMuchRoom && isOld(file, unixNow) {
            guard !damaged.withLock({ $0.contains(file.name) }) else { continue }
            do throws(MaintenanceFailure) {
                try compact(file, now: now)
            } catch {
                problems.append(error.description(of: file))
                // Without room, or with a disk that fails, the next ones would fare no better.
                guard case .damaged = error else { break }
                damaged.withLock { _ = $0.insert(file.name) }
            }
        }
        return problems
    }

    /// - Parameter isHeld: whether the folder is still the one that this process holds.
    package func check(isHeld: Bool) { if !isHeld { segments.areGone = true } }

    private func findMissing() -> [RecordFilesError] {
        guard !segments.areGone, let missing = try? segments.missing(), !missing.isEmpty else { return [] }
        segments.areGone = true
        return missing.map { RecordFilesError(file: $0, reason: "it was taken away while the gateway used it") }
    }

    private enum MaintenanceFailure: Error {
        case disk(DiskError)
        case damaged(SegmentDamage)

        func description(of file: SegmentFile) -> RecordFilesError {
            switch self {
            case .disk(let error): RecordFilesError(file: file.name, reason: error.description)
            case .damaged(let damage): RecordFilesError(file: file.name, offset: damage.offset, reason: damage.reason)
            }
        }
    }

    private var takesTooMuchRoom: Bool { segments.bytes > 2 * memory.count * Self.bytesPerRecord + slack }

    /// Whether nothing in it can be released any more.
    private func isOld(_ file: SegmentFile, _ unixNow: Int64) -> Bool {
        file.closed <= unixNow - 2 * longestLease.nanoseconds / 1_000_000
    }

    /// Rewrites what is still in force of a segment, and removes it.
    ///
    /// A record that is gone is not written at all, although an older entry of it might resurface. It cannot: the claim of a record
    /// that was released stands before the release in the segments of one writer, and those are taken in their order; and what is
    /// rewritten here is never released, since it is older than any lease.
    private func compact(_ file: SegmentFile, now: NIODeadline) throws(MaintenanceFailure) {
        let bytes: [UInt8]
        do throws(DiskError) { bytes = try segments.disk.read(file.name) } catch { throw .disk(error) }
        let failure = compactionLog.withLock { compaction -> MaintenanceFailure? in
            do throws(MaintenanceFailure) {
                try rewrite(bytes, of: file.name, to: compaction.log, compaction.callers, now)
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
        do throws(DiskError) { try segments.remove(file) } catch { throw .disk(error) }
    }

    private func rewrite(
        _ bytes: [UInt8], of name: String, to log: RecordLog, _ callers: [UInt32], _ now: NIODeadline
    ) throws(MaintenanceFailure) {
        // One for all of them: `now` stands still meanwhile.
        let clockOffset = clockOffset(now: now)
        var reader: SegmentReader?
        do throws(SegmentDamage) { reader = try SegmentReader(bytes, name: name) } catch { throw .damaged(error) }
        while true {
            let next: RecordEntry?
            do throws(SegmentDamage) { next = try reader?.next() } catch { throw .damaged(error) }
            guard let next else { break }
            guard let change = memory.currentChange(of: next.scope) else { continue }
            // The record was claimed again meanwhile, by an entry that is younger than this segment.
            if case .sending(_, let leaseEnds, _) = change.record?.state, leaseEnds > now { continue }
            do throws(DiskError) {
                try log.append(entry(of: change, clockOffset: clockOffset, callers))
            } catch { throw .disk(error) }
        }
        guard outlivesMachine else { return }
        let written = log.takeUnsynced()
        do throws(DiskError) {
            try written.sync(on: segments.disk)
            log.synced(written)
        } catch {
            log.syncFailed()
            throw .disk(error)
        }
    }

    /// - Parameter callers: their ids, by label.
    package func use(callers: [String]) {
        let hashes = callers.map(Self.hash(ofCaller:))
        compactionLog.withLock { $0.callers = hashes }
    }

    package func close() { compactionLog.withLock { $0.log.end() } }
}
