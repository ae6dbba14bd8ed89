import Glibc

/// Why the disk did not do something.
package struct DiskError: Error, Equatable, Sendable, CustomStringConvertible {
    package var description: String
    /// Whether there is no room left, or none that this process may use.
    package var isFull = false

    package init(_ description: String, isFull: Bool = false) {
        self.description = description
        self.isFull = isFull
    }

    init(_ what: String, _ path: String, code: Int32) {
        self.init(
            "cannot \(what) \(path): \(String(cString: strerror(code)))", isFull: [ENOSPC, EDQUOT].contains(code))
    }
}

/// The folder that records are in. A seam: tests have disks that fail, tear and forget.
package protocol Disk: AnyObject, Sendable {
    /// Names of the files in the folder.
    func files() throws(DiskError) -> [String]
    func read(_ name: String) throws(DiskError) -> [UInt8]
    /// In bytes.
    func size(of name: String) throws(DiskError) -> Int
    /// A new file for writing.
    func create(_ name: String) throws(DiskError) -> any WritableFile
    func remove(_ name: String) throws(DiskError)
    func rename(_ name: String, to other: String) throws(DiskError)
    func truncate(_ name: String, to bytes: Int) throws(DiskError)
    /// Returns once the content of a file outlives the machine's loss of power.
    func sync(_ name: String) throws(DiskError)
    /// Returns once files that were made or removed are so for good, even if the machine loses its power.
    func syncFolder() throws(DiskError)
}

extension Disk {
    /// Names of the segments among the files, sorted.
    func segmentNames() throws(DiskError) -> [String] { try files().filter(RecordSegment.isFileName).sorted() }
}

/// A file that one writer adds to. Bound to it, but for `sync`, which may be called by another thread.
package protocol WritableFile: AnyObject, Sendable {
    /// Adds all of it to the end, or part of it and throws. What was added outlives the process from the return on.
    func append(_ bytes: [UInt8]) throws(DiskError)
    func truncate(to bytes: Int) throws(DiskError)
    /// Returns once what was added before the call outlives the machine's loss of power.
    func sync() throws(DiskError)
}

/// A folder of the file system.
package final class DiskFolder: Disk {
    private let path: String

    package init(_ path: String) {
        self.path = path
    }

    private func path(_ name: String) -> String { "\(path)/\(name)" }

    package func files() throws(DiskError) -> [String] {
        guard let folder = opendir(path) else { throw DiskError("list", path, code: errno) }
        defer { closedir(folder) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(folder) else { break }
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        guard errno == 0 else { throw DiskError("list", path, code: errno) }
        return names
    }

    package func read(_ name: String) throws(DiskError) -> [UInt8] {
        let path = path(name)
        // A pipe would be waited for until somebody writes to it.
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw DiskError("open", path, code: errno) }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw DiskError("read", path, code: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw DiskError("cannot read \(path): it is not a regular file")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeMutableBytes {
                Glibc.read(file, $0.baseAddress?.advanced(by: done), $0.count - done)
            }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw DiskError("read", path, code: errno) }
            if count == 0 { break }
            done += count
        }
        bytes.removeLast(bytes.count - done)
        return bytes
    }

    package func size(of name: String) throws(DiskError) -> Int {
        var status = stat()
        guard stat(path(name), &status) == 0 else { throw DiskError("look at", path(name), code: errno) }
        return Int(status.st_size)
    }

    package func create(_ name: String) throws(DiskError) -> any WritableFile {
        let path = path(name)
        // There is none of this name, since one process holds the folder and numbers only rise; if there were, it must stay.
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw DiskError("create", path, code: errno) }
        return DiskFile(file, path)
    }

    package func remove(_ name: String) throws(DiskError) {
        let path = path(name)
        guard unlink(path) == 0 || errno == ENOENT else { throw DiskError("remove", path, code: errno) }
    }

    package func rename(_ name: String, to other: String) throws(DiskError) {
        guard Glibc.rename(path(name), path(other)) == 0 else { throw DiskError("rename", path(name), code: errno) }
    }

    package func truncate(_ name: String, to bytes: Int) throws(DiskError) {
        let path = path(name)
        guard Glibc.truncate(path, off_t(bytes)) == 0 else { throw DiskError("cut", path, code: errno) }
    }

    package func sync(_ name: String) throws(DiskError) {
        let path = path(name)
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw DiskError("open", path, code: errno) }
        defer { close(file) }
        guard fsync(file) == 0 else { throw DiskError("sync", path, code: errno) }
    }

    package func syncFolder() throws(DiskError) {
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw DiskError("open", path, code: errno) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw DiskError("sync", path, code: errno) }
    }
}

private final class DiskFile: WritableFile {
    private let descriptor: CInt
    private let path: String

    init(_ descriptor: CInt, _ path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    func append(_ bytes: [UInt8]) throws(DiskError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress?.advanced(by: done), $0.count - done) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw DiskError("write to", path, code: errno) }
            done += count
        }
    }

    func truncate(to bytes: Int) throws(DiskError) {
        guard ftruncate(descriptor, off_t(bytes)) == 0 else { throw DiskError("cut", path, code: errno) }
    }

    func sync() throws(DiskError) {
        guard fdatasync(descriptor) == 0 else { throw DiskError("sync", path, code: errno) }
    }
}
