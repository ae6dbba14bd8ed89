import Glibc
import Synchronization

/// What a file looks like from outside; another one wherever its content may be.
struct FileStamp: Equatable, Sendable {
    private var device: UInt
    private var inode: UInt
    private var size: Int
    private var changed: [Int]

    /// Nil for a file that is not there.
    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = UInt(status.st_dev)
        inode = UInt(status.st_ino)
        size = status.st_size
        changed = [
            status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec,
        ]
    }
}

/// The files that a configuration was read from, each as it looked before it was read: what changes after that is seen.
struct WatchedFiles: Equatable, Sendable {
    private(set) var stamps: [String: FileStamp?] = [:]

    /// To be called before the file is read.
    mutating func add(_ path: String) {
        if stamps[path] == nil { stamps[path] = .some(FileStamp(path)) }
    }

    /// These, and those of `other` that are not among them.
    func adding(_ other: WatchedFiles) -> WatchedFiles {
        var sum = self
        sum.stamps.merge(other.stamps) { own, _ in own }
        return sum
    }

    /// As they look now.
    func lookedAtAgain() -> WatchedFiles {
        var now = WatchedFiles()
        for path in stamps.keys { now.add(path) }
        return now
    }
}

/// Which file is being read, for whoever has waited for it too long.
final class ReadingProgress: Sendable {
    private let path = Mutex<String?>(nil)

    var current: String? { path.withLock { $0 } }

    func begins(_ path: String) { self.path.withLock { $0 = path } }
}
