import Synchronization

/// What is known of a server's own settings and of its memory. Shared by event loops and the control plane.
package final class RedisHealth: Sendable {
    /// A label of the metrics.
    package enum Setting: String, CaseIterable, Sendable {
        /// `noeviction`: a server that is full must refuse, not forget.
        case maxmemoryPolicy = "maxmemory-policy"
        /// The append-only file: snapshots hold what was true minutes ago.
        case persistence
        /// `always`: a server that is killed has on disk what it has confirmed. With replicas, too: a master that comes back
        /// before a failover takes them back to what it has.
        case appendfsync
        /// As many replicas as are waited for.
        case replicas
        /// Every replica that can become the master is waited for.
        case waitReplicas
    }

    package struct State: Equatable, Sendable {
        /// Those that could be read, and whether they keep records safe.
        package var settings: [Setting: Bool] = [:]
        /// Times the records were found to be gone.
        package var wipes = 0
        /// Times the server's clock went another way than time does.
        package var clockJumps = 0
        /// Nothing is sent under new keys, since the store may have forgotten that it was.
        package var isHeld = false
    }

    /// What is known of the epochs of the store.
    let epochs = StoreEpochs()

    private let state = Mutex(State())

    package init() {}

    package var current: State {
        var state = state.withLock { $0 }
        state.isHeld = !epochs.isSound
        return state
    }

    /// True if this is news.
    func note(_ setting: Setting, isSafe: Bool) -> Bool {
        state.withLock { state in
            defer { state.settings[setting] = isSafe }
            return state.settings[setting] != isSafe
        }
    }

    func noteClockJump() { state.withLock { $0.clockJumps += 1 } }

    func noteWipe() { state.withLock { $0.wipes += 1 } }
}
