import ServiceLifecycle

/// Releases memory that only the start needed, shortly after the start.
struct StartMemory: Service {
    /// Usually long enough to fetch the first tokens.
    private static let delay = Duration.seconds(1)

    func run() async throws {
        try? await cancelWhenGracefulShutdown { try await Task.sleep(for: Self.delay) }
        ThisProcess.forgetStart()
        try? await gracefulShutdown()
    }
}
