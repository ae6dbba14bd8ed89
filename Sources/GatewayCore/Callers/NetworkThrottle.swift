package import NIOCore
import Synchronization

/// Counts requests of one kind by the place they come from, for all event loops: failed attempts to authenticate, so that a caller with
/// good credentials never waits for its lock, nor for a neighbour's mistakes; and skills' reports.
package final class NetworkThrottle: Sendable {
    private static let maximumPlaces = 4096

    private let limit: RateLimit

    private struct State {
        var theoreticalArrivalTimes: [Peer.Network: Int64] = [:]
        /// Shared by all places that do not fit.
        var others: Int64 = 0

        func hasRoom(for place: Peer.Network) -> Bool {
            theoreticalArrivalTimes[place] != nil || theoreticalArrivalTimes.count < maximumPlaces
        }

        /// The theoretical arrival time of a place.
        subscript(place: Peer.Network) -> Int64 {
            get { hasRoom(for: place) ? theoreticalArrivalTimes[place] ?? 0 : others }
            set { if hasRoom(for: place) { theoreticalArrivalTimes[place] = newValue } else { others = newValue } }
        }
    }

    private let state = Mutex(State())

    package init(limit: RateLimit) {
        self.limit = limit
    }

    /// Of failed attempts to authenticate.
    package static func ofFailedAttempts() -> NetworkThrottle {
        NetworkThrottle(limit: RateLimit(perSecond: 1, burst: 30))
    }

    /// Of JSON Web Tokens that are not valid. Beyond it none from there is looked at that is not known yet: it bounds what
    /// strangers can make us verify, and shuts out what is new behind the same address meanwhile.
    package static func ofBadTokens() -> NetworkThrottle {
        NetworkThrottle(limit: RateLimit(perSecond: 1_000, burst: 4_000))
    }

    /// Of skills' reports. Many functions may share an address.
    package static func ofReceipts() -> NetworkThrottle {
        NetworkThrottle(limit: RateLimit(perSecond: 1_000, burst: 2_000))
    }

    /// Seconds until another may come from a place, if there were too many; counts nothing.
    func retryAfterIfFull(of place: Peer.Network, now: NIODeadline) -> Int? {
        let now = Int64(clamping: now.uptimeNanoseconds)
        let earlier = state.withLock { $0[place] }
        guard case .refused(let nanoseconds) = limit.decide(theoreticalArrivalTime: earlier, now: now) else {
            return nil
        }
        return Duration.nanoseconds(nanoseconds).asRetryAfterSeconds
    }

    /// Seconds until another may come from a place, if there were too many; counts these otherwise.
    package func retryAfter(of place: Peer.Network, count: Int = 1, now: NIODeadline) -> Int? {
        let now = Int64(clamping: now.uptimeNanoseconds)
        return state.withLock { state in
            if !state.hasRoom(for: place) {
                state.theoreticalArrivalTimes = state.theoreticalArrivalTimes.filter { $0.value > now }
            }
            switch limit.decide(theoreticalArrivalTime: state[place], now: now, count: count) {
            case .allowed(let theoreticalArrivalTime):
                state[place] = theoreticalArrivalTime
                return nil
            case .refused(let nanoseconds):
                return Duration.nanoseconds(nanoseconds).asRetryAfterSeconds
            }
        }
    }
}
