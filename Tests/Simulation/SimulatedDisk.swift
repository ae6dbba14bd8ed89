import GatewayCore
import GatewayFiles
import NIOCore

/// The disk of the one machine: can be full, and keeps what was written by a process that is killed at any byte.
///
/// Unchecked, since a simulation runs on one thread from its beginning to its end.
final class SimulatedDisk: Disk, @unchecked Sendable {
    private let timeline: Timeline
    private let ledger: Ledger
    private let design: DiskDesign
    private var contents: [String: [UInt8]] = [:]
    private var isFull = false
    /// Kills the process that writes next, after a part of what it writes.
    private var killer: (() -> Void)?
    /// Which process has the disk; what another still has open leads nowhere.
    private var owner = 0
    /// The process that had it is gone, and its successor has not begun.
    private var isOrphaned = false

    init(_ timeline: Timeline, ledger: Ledger, design: DiskDesign) {
        self.timeline = timeline
        self.ledger = ledger
        self.design = design
    }

    // MARK: What strikes it

    func fill() {
        ledger.onEvent?("the disk is full")
        isFull = true
    }

    func empty() {
        ledger.onEvent?("the disk has room")
        isFull = false
    }

    func killNextWriter(_ kill: @escaping () -> Void) { killer = kill }

    func spareWriters() { killer = nil }

    /// The process that had it is gone.
    func handOver() {
        owner += 1
        isOrphaned = true
        killer = nil
    }

    /// A process begins with it.
    func takeOver() { isOrphaned = false }

    // MARK: What is on it

    /// As a process that starts now would read it.
    var records: [IdempotencyScope: IdempotencyRecord] {
        var latest: [IdempotencyScope: RecordEntry] = [:]
        _ = try? RecordInspection.inspect(self) { entry in
            if latest[entry.scope].map({ $0.number < entry.number }) ?? true { latest[entry.scope] = entry }
        }
        return latest.compactMapValues(record)
    }

    private func record(_ entry: RecordEntry) -> IdempotencyRecord? {
        let expires = deadline(entry.expires)
        let state: IdempotencyRecord.State
        switch entry.state {
        case .absent: return nil
        case .unknown: state = .unknown
        case .accepted(let response): state = .accepted(response)
        case .sending(let owner, let leaseEnds, let isResend):
            state = .sending(owner: owner, leaseEnds: deadline(leaseEnds), isResend: isResend)
        }
        return IdempotencyRecord(fingerprint: entry.fingerprint, state: state, expires: expires)
    }

    /// Unix time is the timeline's, plus this. In milliseconds.
    static let epoch: Int64 = 1_795_497_192_000

    var unixMilliseconds: Int64 { Self.epoch + Int64(timeline.now.uptimeNanoseconds / 1_000_000) }

    private func deadline(_ unix: Int64) -> NIODeadline {
        .uptimeNanoseconds(0) + .milliseconds(unix - Self.epoch)
    }

    // MARK: Disk

    func files() throws(DiskError) -> [String] { contents.keys.sorted() }

    func read(_ name: String) throws(DiskError) -> [UInt8] {
        guard let bytes = contents[name] else { throw DiskError("there is no \(name)") }
        return bytes
    }

    func size(of name: String) throws(DiskError) -> Int { try read(name).count }

    func create(_ name: String) throws(DiskError) -> any WritableFile {
        if isOrphaned { throw DiskError("the process is gone") }
        if isFull { throw DiskError("no room", isFull: true) }
        contents[name] = []
        return SimulatedFile(name, on: self, owner: owner)
    }

    func remove(_ name: String) throws(DiskError) { contents[name] = nil }
    func rename(_ name: String, to other: String) throws(DiskError) {
        contents[other] = contents.removeValue(forKey: name)
    }
    func truncate(_ name: String, to bytes: Int) throws(DiskError) {
        if let count = contents[name]?.count { contents[name]?.removeLast(max(0, count - bytes)) }
    }

    func sync(_ name: String) throws(DiskError) {}
    func syncFolder() throws(DiskError) {}

    fileprivate func append(_ bytes: [UInt8], to name: String, by owner: Int) throws(DiskError) {
        guard owner == self.owner else { throw DiskError("the process is gone") }
        var written = bytes[...]
        if isFull { written = bytes.prefix(timeline.number(0...bytes.count - 1)) }
        if killer != nil { written = bytes.prefix(timeline.number(0...bytes.count)) }
        if !design.forgets || timeline.chance(0.5) { contents[name]? += written }
        if let kill = killer {
            handOver()
            kill()
            throw DiskError("the process is gone")
        }
        if isFull { throw DiskError("no room", isFull: true) }
    }
}

/// What a disk does: as a good one, or as one that is known to break the promise, so that the simulation is seen to find it.
package struct DiskDesign: Sendable {
    /// Half of what it confirms is not there.
    package var forgets = false

    package static let good = DiskDesign()
    package static let forgetful = DiskDesign(forgets: true)
}

private final class SimulatedFile: WritableFile, @unchecked Sendable {
    private let name: String
    private let disk: SimulatedDisk
    private let owner: Int

    init(_ name: String, on disk: SimulatedDisk, owner: Int) {
        self.name = name
        self.disk = disk
        self.owner = owner
    }

    func append(_ bytes: [UInt8]) throws(DiskError) { try disk.append(bytes, to: name, by: owner) }
    func truncate(to bytes: Int) throws(DiskError) { try disk.truncate(name, to: bytes) }
    func sync() throws(DiskError) {}
}
