import FoundationEssentials
import GatewayCore
import Glibc

/// Finds the lines of log files in which certain names stand. The files may be large: a piece of them is in memory at a time.
struct LogSearch {
    /// Lines that are found; a name that stands in more is none of one message.
    static let limit = 1000
    private static let pieceBytes = 1 << 20
    /// No line of ours is so long.
    private static let longestLine = 64 * 1024

    private(set) var files: [String] = []
    /// Files that are there and cannot be read, with the reason.
    private(set) var unreadable: [String] = []
    private(set) var isCut = false

    /// - Parameter log: the path of a log; those that were rotated stand beside it, with something behind its name.
    mutating func add(_ log: String) {
        let path = log.split(separator: "/", omittingEmptySubsequences: false)
        let folder = path.count > 1 ? path.dropLast().joined(separator: "/") + "/" : ""
        let name = String(path.last ?? "")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.isEmpty ? "." : folder)) ?? []
        let rotated = names.filter { $0.hasPrefix(name + ".") || $0.hasPrefix(name + "-") }.sorted()
        for other in rotated where [".gz", ".xz", ".zst", ".bz2"].contains(where: other.hasSuffix) {
            unreadable.append("\(folder)\(other) is compressed")
        }
        files += ([name] + rotated.filter { !unreadable.contains("\(folder)\($0) is compressed") }).map { folder + $0 }
    }

    /// The lines in which one of the names is the value of a member that names something.
    mutating func lines(with names: Set<String>) -> [LogLine] {
        let needles = names.map { Array("\"\($0)\"".utf8) }
        var found: [LogLine] = []
        for file in files {
            do throws(TextFile.ReadingError) {
                try Self.read(file) { line in
                    guard needles.contains(where: { Self.contains($0, line) }), found.count < Self.limit,
                        let entry = try? JSONDecoder().decode(LogLine.self, from: Data(line)),
                        entry.names.contains(where: names.contains)
                    else { return }
                    found.append(entry)
                }
            } catch {
                if !unreadable.contains(error.description) { unreadable.append(error.description) }
            }
        }
        isCut = isCut || found.count >= Self.limit
        return found
    }

    private static func contains(_ needle: [UInt8], _ line: ArraySlice<UInt8>) -> Bool {
        guard let first = needle.first else { return true }
        return line.withUnsafeBytes { line in
            needle.withUnsafeBytes { needle in
                var rest = line[...]
                while rest.count >= needle.count, let start = rest.firstIndex(of: first) {
                    rest = rest[start...]
                    guard rest.count >= needle.count else { return false }
                    if rest.prefix(needle.count).elementsEqual(needle) { return true }
                    rest = rest.dropFirst()
                }
                return false
            }
        }
    }

    private static func read(_ file: String, _ body: (ArraySlice<UInt8>) -> Void) throws(TextFile.ReadingError) {
        let descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw TextFile.ReadingError(description: "\(file) cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw TextFile.ReadingError(
                description: "\(file) is not a regular file, so nothing can be read back from it")
        }
        var rest: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: pieceBytes)
        while true {
            let count = piece.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { break }
            rest += piece[..<count]
            var start = 0
            while let end = rest[start...].firstIndex(of: UInt8(ascii: "\n")) {
                body(rest[start..<end])
                start = end + 1
            }
            rest.removeFirst(start)
            // What has no end is no line of ours.
            if rest.count > longestLine { rest = [] }
        }
        if !rest.isEmpty { body(rest[...]) }
    }
}
