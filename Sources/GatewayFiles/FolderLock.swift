import Glibc

/// One process at a time has the folder. The lock goes with the process, however it ends.
package final class FolderLock: Sendable {
    private let descriptor: CInt
    private let path: String

    private init(_ descriptor: CInt, _ path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    /// Lets the next process have the folder.
    package func release() { flock(descriptor, LOCK_UN) }

    /// Makes the folder if there is none (its parent has to exist), and waits for the process that has it.
    ///
    /// - Parameter onWait: told the process that is waited for, if it is known.
    package static func take(_ folder: String, onWait: (_ process: Int32?) -> Void) throws(DiskError) -> FolderLock {
        if mkdir(folder, 0o700) == 0 {
            syncParent(of: folder)
        } else if errno != EEXIST {
            throw DiskError("make the folder", folder, code: errno)
        }
        let path = "\(folder)/lock"
        while true {
            let lock = FolderLock(try open(path), path)
            try lock.wait(onWait)
            // Whoever had it before may have been moved away with its folder.
            guard lock.isInForce else { continue }
            lock.writeHolder()
            return lock
        }
    }

    private static func open(_ path: String) throws(DiskError) -> CInt {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
        guard descriptor >= 0 else { throw DiskError("open", path, code: errno) }
        return descriptor
    }

    private func wait(_ onWait: (_ process: Int32?) -> Void) throws(DiskError) {
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return }
        guard errno == EWOULDBLOCK else { throw DiskError("lock", path, code: errno) }
        onWait(Self.holder(descriptor))
        while flock(descriptor, LOCK_EX) != 0 {
            guard errno == EINTR else { throw DiskError("lock", path, code: errno) }
        }
    }

    /// For those who wait; nothing depends on it.
    private func writeHolder() {
        let text = Array("\(getpid())\n".utf8)
        _ = ftruncate(descriptor, 0)
        _ = pwrite(descriptor, text, text.count, 0)
    }

    /// Whether the lock is still the one of the folder: false once the folder was moved, removed or unmounted, and the records with it.
    package var isInForce: Bool {
        var held = stat()
        var found = stat()
        return fstat(descriptor, &held) == 0 && lstat(path, &found) == 0 && held.st_dev == found.st_dev
            && held.st_ino == found.st_ino
    }

    /// The folder itself outlives a loss of power from here on.
    private static func syncParent(of folder: String) {
        let descriptor = Glibc.open("\(folder)/..", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
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
