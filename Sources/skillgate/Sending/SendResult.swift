import FoundationEssentials
import GatewayCore
import Glibc

/// What became of one message, a line of the results file.
struct SendResult: Codable, Sendable {
    /// Of the file of messages, counted from 1.
    var line: Int
    var skill: String?
    var idempotencyKey: String
    /// As of `SendInput`: a line that was changed since is another message, or goes elsewhere.
    var contentHash: String?
    var route: String?
    /// Nil where no answer came.
    var status: Int?
    /// Amazon's.
    var requestID: String?
    /// By which the gateway's logs know the last try.
    var gatewayRequestID: String?
    /// The answer of an earlier try under the same key.
    var isReplay: Bool?
    var attempts: Int
    /// What the gateway or Amazon said was wrong, or why no answer came.
    var detail: String?

    init(_ message: SendInput) {
        line = message.line
        skill = message.skill
        idempotencyKey = message.idempotencyKey
        contentHash = message.contentHash
        route = message.route
        attempts = 0
    }

    /// Idempotency keys are scoped to a skill.
    var name: String { Self.name(skill: skill, key: idempotencyKey) }

    static func name(skill: String?, key: String) -> String { "\(skill ?? "") \(key)" }

    /// Whether it makes no sense to try again by itself.
    var isFinal: Bool { isAccepted || status.flatMap(Problem.resend(after:)) == .afterCorrection }

    /// Whether the message may have been accepted, and nobody knows.
    var isUnknown: Bool { status == 504 }

    /// Whether nothing is left to be done for a message of the same name.
    func settles(_ message: SendInput) -> Bool {
        guard contentHash == message.contentHash else { return false }
        // 401 and 403 are about the caller, who may have another key by now.
        return isAccepted || (isFinal && status != 401 && status != 403 && route == message.route)
    }

    /// How it is counted.
    var label: String { status.map { "\($0)" } ?? "no answer" }

    /// 200: found valid, where nothing was to be sent.
    var isAccepted: Bool { wasSentByMistake != true && (status == 202 || status == 200) }

    /// It was only to be checked, and whatever answered has sent it.
    var wasSentByMistake: Bool?
}

/// The file of results: a line for each message that has an answer, appended as they come. An interrupted run goes on from it.
struct ResultsFile: ~Copyable {
    private let descriptor: CInt
    private let path: String

    /// The results that are there already, by the names of messages; later ones count.
    static func read(_ path: String) throws(TextFile.ReadingError) -> [String: SendResult] {
        guard access(path, F_OK) == 0 else { return [:] }
        var results: [String: SendResult] = [:]
        let text = try TextFile.read(path, limitBytes: 1 << 30, mayWait: true)
        for line in text.split(whereSeparator: \.isNewline) {
            if let result = try? JSONDecoder().decode(SendResult.self, from: Data(line.utf8)) {
                results[result.name] = result
            } else if line.first != "{" || (line.last == "}" && !line.contains("\"attempts\"")) {
                // A run that was killed leaves half a line, and never another one.
                throw TextFile.ReadingError(
                    description: "\(path) is there and holds no results; expected another file for them (--results)")
            }
        }
        return results
    }

    init(appendingTo path: String) throws(TextFile.ReadingError) {
        self.path = path
        descriptor = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw TextFile.ReadingError(description: "cannot write \(path): \(String(cString: strerror(errno)))")
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
            // What a file system that is full takes is a part.
            let reason = count < 0 ? String(cString: strerror(errno)) : String(cString: strerror(ENOSPC))
            throw TextFile.ReadingError(description: "cannot write \(path): \(reason)")
        }
    }

    deinit { close(descriptor) }
}
