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

    func added(_ bytes: Int) { totalBytes.add(bytes, ordering: .relaxed) }

    func closed(_ file: SegmentFile) {
        var file = file
        file.closed = unixMilliseconds()
        files.withLock { $0.append(file) }
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
