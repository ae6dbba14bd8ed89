import GatewayCore
import GatewayServer
import NIOCore

/// The files of the access log and of the audit log, where they are kept.
struct LogFiles: Sendable {
    private let access: LogFile?
    private let audit: LogFile?

    /// - Parameters:
    ///   - access, audit: paths.
    init(access: String?, audit: String?) throws(LogFile.OpeningError) {
        self.access = try access.map { path throws(LogFile.OpeningError) in try LogFile(path: path) }
        self.audit = try audit.map { path throws(LogFile.OpeningError) in try LogFile(path: path) }
    }

    /// What one event loop writes to.
    func logs(on eventLoop: any EventLoop, callerNames: [String], skillNames: [String]) -> MessageForwarder.Logs {
        func lines(to file: LogFile) -> LogLines {
            LogLines(
                callerNames: callerNames, skillNames: skillNames, eventLoop: eventLoop,
                now: { UnixTime.timestamp() }, sink: { file.write($0) })
        }
        return MessageForwarder.Logs(
            access: access.map { AccessLog(lines(to: $0)) }, audit: audit.map { AuditLog(lines(to: $0)) })
    }

    /// By log; those that are kept.
    var droppedLines: [(log: String, count: Int)] {
        [("access", access), ("audit", audit)].compactMap { name, file in file.map { (name, $0.droppedLines) } }
    }

    /// Opens the files again, each by its path; says why for each that cannot be.
    func reopen() async -> [String] {
        var reasons: [String] = []
        for file in [access, audit].compactMap({ $0 }) {
            do {
                try await file.reopen()
            } catch {
                reasons.append("\(error)")
            }
        }
        return reasons
    }

    /// Writes what still waits. Nothing may be written any more.
    func close() async throws {
        try await access?.close()
        try await audit?.close()
    }
}
