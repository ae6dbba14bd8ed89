import Foundation
import Synchronization

/// Starts a program and finds out how it ended, by the calls of the system: Foundation's `Process` now and then misses
/// the end of one where many are started, and whoever waits for it waits for ever.
enum ChildProcess {
    /// One at a time: no child may inherit the pipe of another, whose output would not end then.
    private static let starting = Mutex(())

    /// - Returns: the number of the process, and what it writes to standard output and standard error.
    static func start(
        _ executable: String, _ arguments: [String], environment: [String: String]
    ) throws -> (processID: pid_t, output: Int32) {
        try starting.withLock { _ in try startAlone(executable, arguments, environment) }
    }

    private static func startAlone(
        _ executable: String, _ arguments: [String], _ environment: [String: String]
    ) throws -> (processID: pid_t, output: Int32) {
        var pipe: [Int32] = [0, 0]
        guard Foundation.pipe(&pipe) == 0 else { throw failure("pipe", errno) }
        for end in pipe { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, pipe[1], 1)
        posix_spawn_file_actions_adddup2(&actions, pipe[1], 2)
        // Threads of a pool block signals, and a child would go on blocking them.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

        var processID = pid_t()
        let words = ([executable] + arguments).map { strdup($0) } + [nil]
        let variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        let error = posix_spawn(&processID, executable, &actions, &attributes, words, variables)
        for string in words + variables { free(string) }
        close(pipe[1])
        guard error == 0 else {
            close(pipe[0])
            throw failure(executable, error)
        }
        return (processID, pipe[0])
    }

    private static func failure(_ what: String, _ error: Int32) -> RunningProcess.Failure {
        RunningProcess.Failure(description: "\(what): \(String(cString: strerror(error)))")
    }

    /// Hands on what comes, and at the end nothing. Blocks.
    static func read(_ descriptor: Int32, _ received: ([UInt8]) -> Void) {
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = Foundation.read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            received(Array(chunk[..<max(0, count)]))
            if count <= 0 { break }
        }
        close(descriptor)
    }

    /// The exit status, or the number of the signal that ended it. Blocks.
    static func wait(for processID: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(processID, &status, 0) < 0 && errno == EINTR {}
        // WIFEXITED, WEXITSTATUS and WTERMSIG of wait(2).
        return status & 0x7F == 0 ? status >> 8 & 0xFF : status & 0x7F
    }
}
