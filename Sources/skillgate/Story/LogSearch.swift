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
        let hashes = Set(names.map { Self.hash(Array(JSONText.string($0).utf8.dropFirst().dropLast())[...]) })
        var found: [LogLine] = []
        for file in files {
            do throws(TextFile.ReadingError) {
                try Self.read(file) { line in
                    guard found.count < Self.limit, Self.hasString(line, in: hashes),
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

    /// Whether a string of the line may be one of those. The line is gone through once, however many they are.
    private static func hasString(_ line: ArraySlice<UInt8>, in hashes: Set<UInt64>) -> Bool {
        line.withUnsafeBytes { line in
            var index = 0
            while index < line.count {
                guard line[index] == UInt8(ascii: "\"") else {
                    index += 1
                    continue
                }
                index += 1
                var hash = offset
                while index < line.count, line[index] != UInt8(ascii: "\"") {
                    // What is behind a backslash ends nothing.
                    let count = line[index] == UInt8(ascii: "\\") && index + 1 < line.count ? 2 : 1
                    for byte in line[index..<index + count] { hash = next(hash, byte) }
                    index += count
                }
                if hashes.contains(hash) { return true }
                index += 1
            }
            return false
        }
    }

    // FNV-1a: for speed; what it finds is looked at again.
    private static let offset: UInt64 = 0xCBF2_9CE4_8422_2325

    private static func next(_ hash: UInt64, _ byte: UInt8) -> UInt64 { (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }

    private static func hash(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(offset, next) }

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
            if count < 0 {
                throw TextFile.ReadingError(description: "\(file) cannot be read: \(String(cString: strerror(errno)))")
            }
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
