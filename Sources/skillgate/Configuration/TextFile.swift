import Glibc

/// Small text files, read whole.
enum TextFile {
    struct Unreadable: Error, CustomStringConvertible {
        var description: String
    }

    static func read(_ path: String, limitBytes: Int) throws(Unreadable) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Unreadable(description: "cannot read \(path): \(reason())") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count == 0 { break }
            guard count > 0 else { throw Unreadable(description: "cannot read \(path): \(reason())") }
            bytes += chunk[..<count]
            guard bytes.count <= limitBytes else {
                throw Unreadable(description: "\(path) is larger than \(limitBytes) bytes")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Unreadable(description: "\(path) is not UTF-8 text")
        }
        return text
    }

    /// A key or secret, without the line end that editors put behind it.
    static func readSecret(_ path: String) throws(Unreadable) -> String {
        withoutLineEnd(try read(path, limitBytes: 64 << 10))
    }

    static func withoutLineEnd(_ text: String) -> String {
        var text = text
        while text.last?.isNewline == true { text.removeLast() }
        return text
    }

    /// Why nothing could be appended to a file, which need not exist; nil if it could.
    static func reasonNotWritable(_ path: String) -> String? {
        if access(path, W_OK) == 0 { return nil }
        guard errno == ENOENT else { return reason() }
        let folder = folder(of: path)
        return access(folder.isEmpty ? "." : folder, W_OK | X_OK) == 0 ? nil : reason()
    }

    /// The folder a file is in; empty for one in the current folder.
    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "" }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func reason() -> String { String(cString: strerror(errno)) }
}
