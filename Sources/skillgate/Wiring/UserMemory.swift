import GatewayCore
import GatewayFiles
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Keeps what the process learns about users in the folder of its records, for the next process.
final class UserMemory: Sendable {
    /// Between two looks at what has changed: a process that is killed forgets what it has learned since.
    private static let pause = TimeAmount.seconds(30)

    private struct State {
        /// Whether the file is this process's: what the one before wrote may name users whose time is over, and skills that are gone.
        var isWritten = false
        /// `UserRegions.changes` as of what the file holds.
        var changes = 0
        var isFailing = false
        var timer: RepeatedTask?
    }

    private let folder: LockedFolder
    private let file: UserRegionsFile
    private let logger: Logger
    private let state = Mutex(State())

    init(in folder: LockedFolder, _ logger: Logger) {
        self.folder = folder
        self.logger = logger
        file = UserRegionsFile(on: folder.disk, unixMilliseconds: { Int64(UnixTime.milliseconds()) })
    }

    /// What the process before knew; without it each user costs one more try at most, so that nothing is in the way of the start.
    func read() async -> UserRegionsSnapshot? {
        do {
            return try await folder.threads.runIfActive { [file] in try file.read(now: .now()) }
        } catch {
            report(error, "what was known of users cannot be read")
            return nil
        }
    }

    /// Writes what has changed, from time to time.
    func keep(_ users: UserRegions, controlLoop: any EventLoop) {
        let timer = controlLoop.scheduleRepeatedAsyncTask(initialDelay: Self.pause, delay: Self.pause) { _ in
            self.folder.threads.runIfActive(eventLoop: controlLoop) { self.write(users) }.recover { _ in }
        }
        state.withLock { $0.timer = timer }
    }

    /// Writes for the last time. Returns once the file holds what is known.
    func close(_ users: UserRegions) async {
        state.withLock { $0.timer }?.cancel()
        try? await folder.threads.runIfActive { self.write(users) }
    }

    /// May wait for the disk, and for whoever else writes.
    private func write(_ users: UserRegions) {
        state.withLock { state in
            let (changes, now) = (users.changes, NIODeadline.now())
            guard folder.isHeld, !state.isWritten || changes != state.changes || users.hasReturned(now: now) else {
                return
            }
            do {
                try file.write(users.snapshot(now: now), now: now)
                (state.isWritten, state.changes, state.isFailing) = (true, changes, false)
            } catch {
                if !state.isFailing { report(error, "what is known of users cannot be kept for the next process") }
                state.isFailing = true
            }
        }
    }

    private func report(_ error: any Error, _ message: Logger.Message) {
        logger.warning(
            message, metadata: ["gateway.store.directory": "\(folder.path)", "gateway.store.detail": "\(error)"])
    }
}
