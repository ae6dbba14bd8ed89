import Synchronization

/// Why the store could not be reached, as it is tried again and again.
final class StoreReasons: Sendable {
    private let reason = Mutex<String?>(nil)

    var last: String? { reason.withLock { $0 } }

    func note(_ text: String) { reason.withLock { $0 = text } }
}
