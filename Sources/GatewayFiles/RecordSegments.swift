import GatewayCore
import Synchronization

/// A segment to which nothing is added any more, or the one that is.
struct SegmentFile {
    var name: String
    var bytes: Int
    var entries: Int
    /// When the last of its entries expires: Unix time, in milliseconds.
    var expires: Int64
    /// Unix time, in milliseconds; of one that was found, when it was.
    var closed: Int64 = .max
}

/// The segments of all writers, and how much room they take.
final class RecordSegments: Sendable {
    let disk: any Disk
    /// In bytes; a segment that has as many is closed.
    let longest: Int
    /// Whether records are to outlive a loss of power, not only the process.
    let outlivesMachine: Bool
    let unixMilliseconds: @Sendable () -> Int64
    private let files = Mutex<[SegmentFile]>([])
    private let totalBytes = Atomic<Int>(0)
    /// Files that are written to now.
    private let openNames = Mutex<Set<String>>([])
    private let hasVanished = Atomic<Bool>(false)

    init(
        on disk: any Disk, longest: Int, outlivesMachine: Bool, unixMilliseconds: @escaping @Sendable () -> Int64
    ) {
        self.disk = disk
        self.longest = longest
        self.outlivesMachine = outlivesMachine
        self.unixMilliseconds = unixMilliseconds
    }

    /// Of all segments.
    var bytes: Int { totalBytes.load(ordering: .relaxed) }

    /// Whether files were taken away while they were in use: what is written to them is lost.
    var areGone: Bool {
        get { hasVanished.load(ordering: .relaxed) }
        set { hasVanished.store(newValue, ordering: .relaxed) }
    }

    func opened(_ name: String) { openNames.withLock { _ = $0.insert(name) } }

    /// Names of files that should be there and are not.
    func missing() throws(DiskError) -> [String] {
        // In this order, so that none is missed that is made or removed meanwhile.
        let expected = openNames.withLock { $0 }.union(files.withLock { files in files.map(\.name) })
        let there = Set(try disk.files())
        let known = openNames.withLock { $0 }.union(files.withLock { files in files.map(\.name) })
        return expected.intersection(known).subtracting(there).sorted()
    }

    func added(_ bytes: Int) { totalBytes.add(bytes, ordering: .relaxed) }

    func closed(_ file: SegmentFile) {
        var file = file
        file.closed = unixMilliseconds()
        files.withLock { $0.append(file) }
        openNames.withLock { _ = $0.remove(file.name) }
    }

    /// One that was there before.
    func found(_ file: SegmentFile) {
        added(file.bytes)
        closed(file)
    }

    /// Closed segments, in the order in which they were closed.
    var all: [SegmentFile] { files.withLock { $0 } }

    func remove(_ file: SegmentFile) throws(DiskError) {
        try disk.remove(file.name)
        let isGone = files.withLock { files in
            guard let place = files.firstIndex(where: { $0.name == file.name }) else { return false }
            files.remove(at: place)
            return true
        }
        if isGone { totalBytes.subtract(file.bytes, ordering: .relaxed) }
    }
}
