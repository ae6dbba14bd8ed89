package import Foundation

/// A real Redis server in a temporary folder on a free port. Can be killed, stopped and started again.
package actor RedisProcess {
    package nonisolated let port: Int
    package nonisolated let folder: URL
    private let arguments: [String]
    private let program: String
    private var process: RunningProcess?

    /// - Parameters:
    ///   - arguments: as on the command line; `@PORT@` stands for the port, `@DIR@` for the folder.
    package init(_ arguments: [String] = [], program: String = "redis-server", port: Int? = nil) throws {
        let port = try port ?? FreePort.find()
        // In memory where there is such a place: a cluster waits for the disk with every slot that moves, and what is
        // tested is not the disk.
        let memory = URL(fileURLWithPath: "/dev/shm")
        let isWritable = FileManager.default.isWritableFile(atPath: memory.path)
        let parent = isWritable ? memory : FileManager.default.temporaryDirectory
        let folder = parent.appendingPathComponent("redis-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        self.port = port
        self.folder = folder
        self.program = program
        self.arguments = arguments.map { argument in
            argument.replacingOccurrences(of: "@PORT@", with: String(port))
                .replacingOccurrences(of: "@DIR@", with: folder.path)
        }
    }

    /// Without persistence and without TLS.
    package static func plain(_ arguments: [String] = []) throws -> RedisProcess {
        try RedisProcess(["--port", "@PORT@", "--save", "", "--appendonly", "no"] + arguments)
    }

    /// What it confirms is on disk, whenever it is killed.
    package static func durable(_ arguments: [String] = []) throws -> RedisProcess {
        try RedisProcess(
            ["--port", "@PORT@", "--save", "", "--appendonly", "yes", "--appendfsync", "always"] + arguments)
    }

    /// Returns once the server accepts connections.
    package func start() async throws {
        let process = try RunningProcess(
            "/usr/bin/\(program)", arguments + ["--dir", folder.path, "--daemonize", "no", "--bind", "127.0.0.1"])
        self.process = process
        _ = try await process.line(with: "Ready to accept connections")
    }

    package func startSentinel() async throws {
        let process = try RunningProcess("/usr/bin/\(program)", arguments)
        self.process = process
        _ = try await process.line(with: "+monitor master")
    }

    package func kill() async {
        process?.signal(SIGKILL)
        _ = await process?.exitStatus()
        process = nil
    }

    package func stall() { process?.signal(SIGSTOP) }
    package func resume() { process?.signal(SIGCONT) }

    package func stop() async {
        await kill()
        try? FileManager.default.removeItem(at: folder)
    }

    /// Whether a write reaches so many replicas.
    package nonisolated func replicates(to replicas: Int) throws -> Bool {
        let wait = ["WAIT", String(replicas), "1000"]
        let reached = try RedisControl.commands([["SET", "replicated", "?", "PX", "1"], wait], port: port)
        return Int(reached) ?? 0 >= replicas
    }

    /// What the server says to a command; throws for errors.
    @discardableResult
    package nonisolated func command(_ words: String...) throws -> String { try command(arguments: words) }

    @discardableResult
    package nonisolated func command(arguments words: [String]) throws -> String {
        try RedisControl.commands([words], port: port)
    }
}
