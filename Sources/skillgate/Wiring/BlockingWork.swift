import Glibc
import Synchronization

/// Work that a file system may hold up for ever (a mount that hangs), on a thread of its own: whoever waits for it does so for a while
/// only, and holds up nobody else.
final class BlockingWork: Sendable {
    enum Failure: Error {
        case tookTooLong
        /// What was begun before has not come to its end yet.
        case stillBusy
    }

    /// Enough for configurations that are nested as deeply as they may be.
    private static let stackBytes = 8 << 20

    private let isBusy = Atomic<Bool>(false)

    /// One at a time. What takes too long is not stopped, which nobody can; its result is dropped.
    func run<Value: Sendable>(
        within limit: Duration, _ body: @escaping @Sendable () -> Value
    ) async throws(Failure) -> Value {
        guard !isBusy.exchange(true, ordering: .acquiring) else { throw .stillBusy }
        let (results, continuation) = AsyncStream.makeStream(of: Value?.self, bufferingPolicy: .bufferingOldest(1))
        Self.startThread { [self] in
            let value = body()
            isBusy.store(false, ordering: .releasing)
            continuation.yield(value)
        }
        let timer = Task {
            try? await Task.sleep(for: limit)
            continuation.yield(nil)
        }
        defer { timer.cancel() }
        for await value in results {
            guard let value else { break }
            return value
        }
        throw .tookTooLong
    }

    private final class Start {
        let body: () -> Void

        init(_ body: @escaping () -> Void) { self.body = body }
    }

    private static func startThread(_ body: @escaping @Sendable () -> Void) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, stackBytes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let start = Unmanaged.passRetained(Start(body))
        let result = pthread_create(
            &thread, &attributes,
            { pointer in
                guard let pointer else { return nil }
                Unmanaged<Start>.fromOpaque(pointer).takeRetainedValue().body()
                return nil
            }, start.toOpaque())
        pthread_attr_destroy(&attributes)
        // No thread is to be had: better here than not at all.
        if result != 0 { start.takeRetainedValue().body() }
    }
}
