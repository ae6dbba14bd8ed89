import FoundationEssentials
import Glibc

/// What became of one message, a line of the results file.
struct SendResult: Codable, Sendable {
    /// Of the file of messages, counted from 1.
    var line: Int
    var idempotencyKey: String
    /// Nil where no answer came.
    var status: Int?
    var requestID: String?
    /// The answer of an earlier try under the same key.
    var isReplay: Bool?
    var attempts: Int
    /// What the gateway or Amazon said was wrong, or why no answer came.
    var detail: String?

    /// Whether sending it again could not change anything.
    var isFinal: Bool {
        guard let status else { return false }
        return (200...299).contains(status) || [400, 401, 403, 404, 413, 422].contains(status)
    }

    /// How it is counted.
    var label: String { status.map { "\($0)" } ?? "no answer" }

    var isAccepted: Bool { status.map { (200...299).contains($0) } ?? false }
}

/// The file of results: a line for each message that has an answer, appended as they come. An interrupted run goes on from it.
struct ResultsFile: ~Copyable {
    private let descriptor: CInt

    /// The results that are there already, by idempotency key; later ones count.
    static func read(_ path: String) throws(TextFile.Unreadable) -> [String: SendResult] {
        guard access(path, F_OK) == 0 else { return [:] }
        var results: [String: SendResult] = [:]
        for line in try TextFile.read(path, limitBytes: 1 << 30, mayWait: true).split(separator: "\n") {
            // The last line may be half a line: of a run that was killed.
            if let result = try? JSONDecoder().decode(SendResult.self, from: Data(line.utf8)) {
                results[result.idempotencyKey] = result
            }
        }
        return results
    }

    init(appendingTo path: String) throws(TextFile.Unreadable) {
        descriptor = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw TextFile.Unreadable(description: "cannot write \(path): \(String(cString: strerror(errno)))")
        }
        // A run that was killed may have left half a line.
        if !endsWithLine { _ = write(descriptor, "\n", 1) }
    }

    private var endsWithLine: Bool {
        var last: UInt8 = 0
        let size = lseek(descriptor, 0, SEEK_END)
        guard size > 0, pread(descriptor, &last, 1, size - 1) == 1 else { return true }
        return last == UInt8(ascii: "\n")
    }

    /// In one write, so that a line is there whole or not at all.
    func append(_ result: SendResult) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var line = try encoder.encode(result)
        line.append(UInt8(ascii: "\n"))
        let count = line.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard count == line.count else {
            throw TextFile.Unreadable(description: "cannot write the results: \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(descriptor) }
}
