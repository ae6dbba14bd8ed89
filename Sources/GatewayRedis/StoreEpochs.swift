import Synchronization

/// The epochs of a store as this process has seen them last, by their keys: whichever event loop finds another one first tells
/// of it.
final class StoreEpochs: Sendable {
    enum Finding: Equatable {
        /// As it was, or first seen by this process.
        case same
        /// The records of before are gone.
        case wiped
        /// What had been wiped is in use again: time has passed, or an operator said so.
        case sound
    }

    private let known = Mutex<[String: StoreEpoch]>([:])

    func known(_ key: String) -> StoreEpoch? { known.withLock { $0[key] } }

    func note(_ key: String, _ epoch: StoreEpoch) -> Finding {
        known.withLock { known in
            defer { known[key] = epoch }
            guard let before = known[key], before != epoch else { return .same }
            if !before.isSound && epoch.isSound { return .sound }
            return before.isSound ? .wiped : .same
        }
    }

    /// Servers are looked at by these keys alone: slots of a cluster may have moved.
    func keep(only keys: Set<String>) {
        known.withLock { known in known = known.filter { keys.contains($0.key) } }
    }

    var isSound: Bool { known.withLock { $0.values.allSatisfy(\.isSound) } }
}
