import Logging
import NIOCore
import Synchronization

/// Logs that connections cannot be accepted for lack of descriptors or memory: at most one line every 10 s.
final class AcceptFailureLog: Sendable {
    private static let pause = TimeAmount.seconds(10)

    private let logger: Logger
    private let quietUntil = Mutex(NIODeadline.distantPast)

    init(_ logger: Logger) {
        self.logger = logger
    }

    func failed(_ error: any Error) {
        let now = NIODeadline.now()
        let isQuiet = quietUntil.withLock { quietUntil in
            guard now >= quietUntil else { return true }
            quietUntil = now + Self.pause
            return false
        }
        guard !isQuiet else { return }
        logger.error(
            "cannot accept connections; raise the open-file limit", metadata: ["error": "\(error)"])
    }
}
