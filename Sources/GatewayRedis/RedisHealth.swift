import Synchronization

/// What is known of a server's own settings and of its memory. Shared by event loops and the control plane.
public final class RedisHealth: Sendable {
    /// A label of the metrics.
    public enum Setting: String, CaseIterable, Sendable {
        /// `noeviction`: a server that is full must refuse, not forget.
        case maxmemoryPolicy = "maxmemory-policy"
        /// The append-only file, or snapshots.
        case persistence
        /// `always`: a server that is killed has on disk what it has confirmed. Not looked at with `waitReplicas`.
        case appendfsync
        /// As many replicas as are waited for.
        case replicas
    }

    public struct State: Equatable, Sendable {
        /// Those that could be read, and whether they keep records safe.
        public var settings: [Setting: Bool] = [:]
        /// Times the records were found to be gone.
        public var wipes = 0
    }

    private let state = Mutex(State())

    public init() {}

    public var current: State { state.withLock { $0 } }

    /// True if this is news.
    func note(_ setting: Setting, isSafe: Bool) -> Bool {
        state.withLock { state in
            defer { state.settings[setting] = isSafe }
            return state.settings[setting] != isSafe
        }
    }

    func noteWipe() { state.withLock { $0.wipes += 1 } }
}
