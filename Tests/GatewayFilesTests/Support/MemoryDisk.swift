import Dispatch
import GatewayFiles
import Synchronization

/// A disk that a test fills, damages and cuts off from its power.
final class MemoryDisk: Disk {
    private struct State {
        var files: [String: [UInt8]] = [:]
        /// What of their contents was synced.
        var synced: [String: [UInt8]] = [:]
        /// Names that are there after a loss of power.
        var names: Set<String> = []
        var failure: DiskError?
        /// So many bytes are added before the failure.
        var bytesBeforeFailure = 0
        var cannotTruncate = false
        var folderFailure: DiskError?
        var syncFailure: DiskError?
        /// Of files, what a sync that failed has lost.
        var lostPages: [String: Int] = [:]
        var isStalled = false
        var waiting: [DispatchSemaphore] = []
    }

    private let state = Mutex(State())

    func files() throws(DiskError) -> [String] { state.withLock { Array($0.files.keys) } }

    func read(_ name: String) throws(DiskError) -> [UInt8] {
        guard let bytes = state.withLock({ $0.files[name] }) else { throw DiskError("there is no \(name)") }
        return bytes
    }

    func size(of name: String) throws(DiskError) -> Int { try read(name).count }

    func create(_ name: String) throws(DiskError) -> any WritableFile {
        if let failure = state.withLock({ $0.failure }) { throw failure }
        state.withLock { $0.files[name] = [] }
        return MemoryFile(name, on: self)
    }

    func remove(_ name: String) throws(DiskError) { state.withLock { $0.files[name] = nil } }

    func rename(_ name: String, to other: String) throws(DiskError) {
        state.withLock { $0.files[other] = $0.files.removeValue(forKey: name) }
    }

    func truncate(_ name: String, to bytes: Int) throws(DiskError) {
        let failure = state.withLock { state -> DiskError? in
            guard !state.cannotTruncate else { return DiskError("cannot cut") }
            if let count = state.files[name]?.count { state.files[name]?.removeLast(max(0, count - bytes)) }
            return nil
        }
        if let failure { throw failure }
    }

    func syncFolder() throws(DiskError) {
        if let failure = state.withLock({ $0.folderFailure }) { throw failure }
        state.withLock { state in
            state.names = Set(state.files.keys)
        }
    }

    fileprivate func append(_ bytes: [UInt8], to name: String) throws(DiskError) {
        let failure = state.withLock { state -> DiskError? in
            let room = state.failure == nil ? bytes.count : min(bytes.count, state.bytesBeforeFailure)
            state.files[name]? += bytes[..<room]
            return state.failure
        }
        if let failure { throw failure }
    }

    func sync(_ name: String) throws(DiskError) {
        let stall = state.withLock { state -> DispatchSemaphore? in
            guard state.isStalled else { return nil }
            let semaphore = DispatchSemaphore(value: 0)
            state.waiting.append(semaphore)
            return semaphore
        }
        stall?.wait()
        let failure = state.withLock { state -> DiskError? in
            let bytes = state.files[name] ?? []
            if let failure = state.syncFailure ?? state.failure {
                // As Linux does: the pages count as clean, and nobody will be told again.
                state.lostPages[name] = state.synced[name]?.count ?? 0
                return failure
            }
            if let lost = state.lostPages[name] {
                let hole = [UInt8](repeating: 0, count: max(0, min(64, bytes.count - lost)))
                state.synced[name] = bytes[..<min(lost, bytes.count)] + hole + bytes.dropFirst(lost + hole.count)
            } else {
                state.synced[name] = bytes
            }
            return nil
        }
        if let failure { throw failure }
    }

    // MARK: The test's hands

    /// Fails from now on, each time after so many bytes; nil: works again.
    func fail(_ failure: DiskError?, afterBytes bytes: Int = 0, cannotTruncate: Bool = false) {
        state.withLock { state in
            state.failure = failure
            state.bytesBeforeFailure = bytes
            state.cannotTruncate = cannotTruncate
        }
    }

    /// The disk as it would be if the power went now: what was not synced may be there, or a part of it, or holes.
    func afterLossOfPower() -> MemoryDisk {
        let lost = MemoryDisk()
        lost.contents = state.withLock { state in
            state.names.reduce(into: [:]) { files, name in
                let synced = state.synced[name] ?? []
                let unsynced = (state.files[name] ?? []).dropFirst(synced.count)
                var kept = Array(unsynced.prefix(Int.random(in: 0...unsynced.count)))
                if kept.count > 8, Bool.random() {
                    let hole = Int.random(in: 0..<kept.count / 2)
                    for place in hole..<min(kept.count, hole + 100) { kept[place] = 0 }
                }
                files[name] = synced + kept
            }
        }
        return lost
    }

    /// The next syncs fail, and what they were to sync is lost for good; nil: they work again.
    func failSyncs(_ failure: DiskError?) { state.withLock { $0.syncFailure = failure } }

    /// Syncs of the folder fail; nil: they work again.
    func failFolderSyncs(_ failure: DiskError?) { state.withLock { $0.folderFailure = failure } }

    /// Syncs wait until `goOn`.
    func stallSyncs() { state.withLock { $0.isStalled = true } }

    func goOn() {
        let waiting = state.withLock { state in
            state.isStalled = false
            defer { state.waiting = [] }
            return state.waiting
        }
        for semaphore in waiting { semaphore.signal() }
    }

    var contents: [String: [UInt8]] {
        get { state.withLock { $0.files } }
        set { state.withLock { $0.files = newValue } }
    }

    var bytes: Int { contents.values.reduce(0) { $0 + $1.count } }
}

private final class MemoryFile: WritableFile {
    private let name: String
    private let disk: MemoryDisk

    init(_ name: String, on disk: MemoryDisk) {
        self.name = name
        self.disk = disk
    }

    func append(_ bytes: [UInt8]) throws(DiskError) { try disk.append(bytes, to: name) }
    func truncate(to bytes: Int) throws(DiskError) { try disk.truncate(name, to: bytes) }
    func sync() throws(DiskError) { try disk.sync(name) }
}
