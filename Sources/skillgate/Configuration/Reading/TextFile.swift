import Glibc

/// Small text files, read whole.
enum TextFile {
    struct ReadingError: Error, CustomStringConvertible {
        var description: String
    }

    /// - Parameter mayWait: whether a pipe or a terminal will do, which is read to its end.
    static func read(_ path: String, limitBytes: Int, mayWait: Bool = false) throws(ReadingError) -> String {
        // A FIFO would be waited for until somebody writes to it.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | (mayWait ? 0 : O_NONBLOCK))
        guard descriptor >= 0 else { throw ReadingError(description: "cannot read \(path): \(reason())") }
        defer { close(descriptor) }
        var status = stat()
        guard mayWait || (fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG) else {
            throw ReadingError(description: "cannot read \(path): it is not a regular file")
        }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count == 0 { break }
            guard count > 0 else { throw ReadingError(description: "cannot read \(path): \(reason())") }
            bytes += chunk[..<count]
            guard bytes.count <= limitBytes else {
                throw ReadingError(description: "\(path) is larger than \(limitBytes) bytes")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ReadingError(description: "\(path) is not UTF-8 text")
        }
        return text
    }

    /// A key or secret, without the line end that editors put behind it.
    ///
    /// - Parameter mayWait: as of `read`.
    static func readSecret(_ path: String, mayWait: Bool = false) throws(ReadingError) -> String {
        withoutLineEnd(try read(path, limitBytes: 64 << 10, mayWait: mayWait))
    }

    static func withoutLineEnd(_ text: String) -> String {
        var text = text
        while text.last?.isNewline == true { text.removeLast() }
        return text
    }

    /// Why a file cannot be read; nil if it can.
    static func reasonNotReadable(_ path: String) -> String? {
        access(path, R_OK) == 0 ? nil : reason()
    }

    /// Why nothing could be appended to a file, which need not exist; nil if it could.
    static func reasonNotWritable(_ path: String) -> String? {
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return "it is a directory" }
        if access(path, W_OK) == 0 { return nil }
        guard errno == ENOENT else { return reason() }
        let folder = folder(of: path)
        return access(folder.isEmpty ? "." : folder, W_OK | X_OK) == 0 ? nil : reason()
    }

    /// Why no Unix socket could be made at a path; nil if it could.
    static func reasonNoSocket(_ path: String) -> String? {
        var status = stat()
        if lstat(path, &status) == 0, status.st_mode & S_IFMT != S_IFSOCK {
            return "\(path) exists and is not a socket"
        }
        let folder = folder(of: path)
        guard access(folder.isEmpty ? "." : folder, W_OK | X_OK) == 0 else {
            return "cannot create a socket in \(folder): \(reason())"
        }
        return nil
    }

    /// Why there can be no folder at `path` that this process writes to; nil if there can.
    static func reasonNoFolder(_ path: String) -> String? {
        var status = stat()
        if stat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR else { return "\(path) exists and is not a directory" }
            return access(path, R_OK | W_OK | X_OK) == 0 ? nil : "cannot write to \(path): \(reason())"
        }
        let parent = folder(of: path)
        guard access(parent.isEmpty ? "." : parent, W_OK | X_OK) == 0 else {
            return "cannot create \(path): \(reason())"
        }
        return nil
    }

    /// The folder a file is in; empty for one in the current folder.
    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "" }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func reason() -> String { String(cString: strerror(errno)) }
}
