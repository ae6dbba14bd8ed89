import Glibc

/// One process at a time has the folder. The lock goes with the process, however it ends.
package final class FolderLock: Sendable {
    private let descriptor: CInt

    private init(_ descriptor: CInt) {
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Lets the next process have the folder.
    package func release() { flock(descriptor, LOCK_UN) }

    /// Makes the folder if there is none, and waits for the process that has it.
    ///
    /// - Parameter onWait: told the process that is waited for, if it is known.
    package static func take(_ folder: String, onWait: (_ process: Int32?) -> Void) throws(DiskError) -> FolderLock {
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
            throw DiskError("make the folder", folder, code: errno)
        }
        let path = "\(folder)/lock"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw DiskError("open", path, code: errno) }
        let lock = FolderLock(descriptor)
        if flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK else { throw DiskError("lock", path, code: errno) }
            onWait(holder(descriptor))
            while flock(descriptor, LOCK_EX) != 0 {
                guard errno == EINTR else { throw DiskError("lock", path, code: errno) }
            }
        }
        // For those who wait; nothing depends on it.
        let text = Array("\(getpid())\n".utf8)
        _ = ftruncate(descriptor, 0)
        _ = pwrite(descriptor, text, text.count, 0)
        return lock
    }

    /// The folder itself outlives a loss of power from here on.
    private static func syncParent(of folder: String) {
        let descriptor = open("\(folder)/..", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        _ = fsync(descriptor)
        close(descriptor)
    }

    private static func holder(_ descriptor: CInt) -> Int32? {
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return nil }
        return Int32(String(decoding: bytes[..<count].prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
    }
}
