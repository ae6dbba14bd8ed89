import GatewayCore
import NIOCore
import Synchronization

/// Counts the open connections of all event loops, in all and by address, and says when accepting has to pause.
///
/// Asked once per connection, not per message.
final class ConnectionGate: Sendable {
    private struct State {
        var open = 0
        var byAddress: [Peer.Network: Int] = [:]
        var turnedAway = 0
    }

    private let limit: Int
    private let limitPerAddress: Int
    private let state = Mutex(State())
    /// Called when there is room again.
    private let resume = Mutex<(@Sendable () -> Void)?>(nil)

    /// - Parameter perAddress: nil: half of `limit`.
    init(limit: Int, perAddress: Int?) {
        self.limit = max(1, limit)
        limitPerAddress = max(1, perAddress ?? (limit + 1) / 2)
    }

    var isShut: Bool { state.withLock { $0.open >= limit } }

    /// Connections that were closed since too many of their address were open.
    var turnedAway: Int { state.withLock { $0.turnedAway } }

    /// False, and nothing is counted, if the address has its share already. Those of this machine's Unix sockets have none.
    func opened(from place: Peer.Network) -> Bool {
        state.withLock { state in
            guard takeShare(of: place, &state) else { return false }
            state.open += 1
            return true
        }
    }

    private func takeShare(of place: Peer.Network, _ state: inout State) -> Bool {
        guard place != .local else { return true }
        guard state.byAddress[place, default: 0] < limitPerAddress else {
            state.turnedAway += 1
            return false
        }
        state.byAddress[place, default: 0] += 1
        return true
    }

    /// The address of a connection that is counted already has become known. False if that address has its share already.
    ///
    /// The number of all stays as it is at every moment: accepting pauses and resumes by it.
    func takeShare(of place: Peer.Network) -> Bool {
        state.withLock { takeShare(of: place, &$0) }
    }

    func closed(from place: Peer.Network) {
        let hasRoomAgain = state.withLock { state in
            if let count = state.byAddress[place] { state.byAddress[place] = count > 1 ? count - 1 : nil }
            state.open -= 1
            return state.open == limit - 1
        }
        if hasRoomAgain { resume.withLock { $0 }?() }
    }

    func whenReopened(_ action: @escaping @Sendable () -> Void) {
        resume.withLock { $0 = action }
    }
}
