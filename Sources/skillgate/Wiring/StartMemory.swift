import ServiceLifecycle

/// Gives back what only the start needed, once that is over.
struct StartMemory: Service {
    /// Long enough for the first tokens; a gateway without them has nothing better to do.
    private static let delay = Duration.seconds(1)

    func run() async throws {
        try? await cancelWhenGracefulShutdown { try await Task.sleep(for: Self.delay) }
        ThisProcess.forgetStart()
        try? await gracefulShutdown()
    }
}
