package import GatewayCore
import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// The file that one kind of log of all event loops is written to, by a thread of its own: no message waits for a
/// disk. Opened for appending, so that it can be truncated by whoever rotates it; or renamed, and then it is to be reopened.
package final class LogFile: Sendable {
    package struct OpeningError: Error, CustomStringConvertible {
        package var description: String
    }

    private struct State {
        /// Closed and replaced by the thread that writes, between two writes.
        var descriptor: CInt
        var waiting: [LogBatch] = []
        var waitingBytes = 0
        var isWriting = false
        var reopenings: [CheckedContinuation<Result<Void, OpeningError>, Never>] = []
        var droppedLines = 0
    }

    /// What may wait for a slow disk; lines above it are dropped and counted.
    private static let waitingLimitBytes = 16 << 20

    private let path: String
    private let thread = NIOThreadPool(numberOfThreads: 1)
    private let state: Mutex<State>

    package init(path: String) throws(OpeningError) {
        self.path = path
        state = Mutex(State(descriptor: try Self.open(path)))
        thread.start()
    }

    private static func open(_ path: String) throws(OpeningError) -> CInt {
        // A FIFO that nobody reads would be waited for.
        let descriptor = Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o640)
        guard descriptor >= 0 else {
            throw OpeningError(description: "cannot write the log \(path): \(String(cString: strerror(errno)))")
        }
        // From here on its own thread may wait.
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK)
        return descriptor
    }

    /// Opens the path again: whoever rotates the log has renamed the file. Lines that were handed over before are in the old file. If
    /// the path cannot be opened, the old file stays in use.
    package func reopen() async throws(OpeningError) {
        try await withCheckedContinuation { continuation in
            begin { $0.reopenings.append(continuation) }
        }.get()
    }

    private func openAgain() -> Result<Void, OpeningError> {
        Result { () throws(OpeningError) in
            let new = try Self.open(path)
            let old = state.withLock { state in
                defer { state.descriptor = new }
                return state.descriptor
            }
            Glibc.close(old)
        }
    }

    /// Lines that were not written: the disk was too slow, full or broken.
    package var droppedLines: Int { state.withLock { $0.droppedLines } }

    /// Returns at once; whatever cannot be written is counted.
    package func write(_ piece: LogBatch) {
        begin { state in
            guard state.waitingBytes + piece.text.readableBytes <= Self.waitingLimitBytes else {
                return state.droppedLines += piece.lines
            }
            state.waiting.append(piece)
            state.waitingBytes += piece.text.readableBytes
        }
    }

    /// Gives the thread something to do.
    private func begin(_ work: (inout State) -> Void) {
        let starts = state.withLock { state in
            work(&state)
            defer { state.isWriting = true }
            return !state.isWriting
        }
        guard starts else { return }
        thread.submit { state in
            // One that is cancelled runs on a thread that nobody waits for, perhaps when the file is closed.
            if case .active = state { self.writeWaiting() } else { self.refuseReopenings() }
        }
    }

    private func refuseReopenings() {
        let reopenings = state.withLock { state in
            state.isWriting = false
            defer { state.reopenings = [] }
            return state.reopenings
        }
        let error = OpeningError(description: "the log \(path) is closed")
        for reopening in reopenings { reopening.resume(returning: .failure(error)) }
    }

    /// Writes what still waits, and closes the file. Nothing may be written any more.
    package func close() async throws {
        try await thread.shutdownGracefully()
        // What its thread had not begun with was cancelled.
        writeWaiting()
        Glibc.close(state.withLock { $0.descriptor })
    }

    private func writeWaiting() {
        while true {
            let (pieces, descriptor, reopenings) = state.withLock { state in
                defer {
                    (state.waiting, state.reopenings) = ([], [])
                    state.waitingBytes = 0
                }
                if state.waiting.isEmpty && state.reopenings.isEmpty { state.isWriting = false }
                return (state.waiting, state.descriptor, state.reopenings)
            }
            guard !pieces.isEmpty || !reopenings.isEmpty else { return }
            for piece in pieces where !Self.writeWhole(piece.text, to: descriptor) {
                state.withLock { $0.droppedLines += piece.lines }
            }
            // What was handed over before is in the old file, whatever comes meanwhile.
            if !reopenings.isEmpty {
                let result = openAgain()
                for reopening in reopenings { reopening.resume(returning: result) }
            }
        }
    }

    /// False if the rest could not be written.
    private static func writeWhole(_ text: ByteBuffer, to descriptor: CInt) -> Bool {
        var text = text
        while text.readableBytes > 0 {
            let count = text.withUnsafeReadableBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            text.moveReaderIndex(forwardBy: count)
        }
        return true
    }
}
