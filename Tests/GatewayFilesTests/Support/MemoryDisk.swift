import GatewayFiles
import Synchronization

/// A disk that a test fills, damages and cuts off from its power.
final class MemoryDisk: Disk {
    private struct State {
        var files: [String: [UInt8]] = [:]
        /// As they would be after a loss of power.
        var synced: [String: [UInt8]] = [:]
        var failure: DiskError?
        /// So many bytes are added before the failure.
        var bytesBeforeFailure = 0
        var cannotTruncate = false
    }

    private let state = Mutex(State())

    func files() throws(DiskError) -> [String] { state.withLock { Array($0.files.keys) } }

    func read(_ name: String) throws(DiskError) -> [UInt8] {
        guard let bytes = state.withLock({ $0.files[name] }) else { throw DiskError("there is no \(name)") }
        return bytes
    }

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
        state.withLock { state in
            let names = state.files.keys
            state.synced = state.synced.filter { names.contains($0.key) }
            for name in names where state.synced[name] == nil { state.synced[name] = [] }
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

    fileprivate func sync(_ name: String) throws(DiskError) {
        let failure = state.withLock { state -> DiskError? in
            // Its name comes back only with the folder's sync.
            if state.failure == nil, state.synced[name] != nil { state.synced[name] = state.files[name] }
            return state.failure
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

    /// Of each file, what was not synced is gone, and of what was added since a part may be there.
    ///
    /// - Parameter keep: how many of so many bytes that were not synced are there all the same.
    func losePower(keep: (Int) -> Int = { _ in 0 }) {
        state.withLock { state in
            state.files = state.synced.reduce(into: [:]) { files, file in
                let now = state.files[file.key] ?? []
                let unsynced = max(0, now.count - file.value.count)
                files[file.key] = file.value + now.dropFirst(file.value.count).prefix(keep(unsynced))
            }
        }
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
