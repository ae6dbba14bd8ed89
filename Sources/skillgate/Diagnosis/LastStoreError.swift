import Synchronization

/// What a store says of itself while it is looked at.
final class LastStoreError: Sendable {
    private struct State {
        var last: String?
        var unsafe: [String] = []
    }

    private let state = Mutex(State())

    /// Why it could not be reached, as it is tried again and again.
    var last: String? { state.withLock { $0.last } }
    /// Under which settings it may lose records.
    var unsafe: [String] { state.withLock { $0.unsafe } }

    func note(_ text: String) { state.withLock { $0.last = text } }
    func note(unsafe text: String) { state.withLock { $0.unsafe.append(text) } }
}
