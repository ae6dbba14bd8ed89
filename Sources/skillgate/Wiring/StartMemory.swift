import CBuild
import ServiceLifecycle

/// Gives back the memory that only the start needed: the pages of code and constants that were mapped for reading the
/// configuration, registering types and fetching the first tokens, more than half of an idle gateway's resident memory.
///
/// What is used again is mapped again from the page cache, in the next few messages.
struct StartMemory: Service {
    /// Long enough for the first tokens; a gateway without them has nothing better to do.
    private static let delay = Duration.seconds(1)

    func run() async throws {
        try? await cancelWhenGracefulShutdown { try await Task.sleep(for: Self.delay) }
        skillgate_forget_code_pages()
        try? await gracefulShutdown()
    }
}
