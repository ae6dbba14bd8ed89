import NIOCore
import Synchronization

/// Counts failed attempts to authenticate by the place they come from, for all event loops. Only failures come here, so
/// that a caller with good credentials never waits for its lock, nor for a neighbour's mistakes.
package final class AuthenticationThrottle: Sendable {
    private static let limit = RateLimit(perSecond: 1, burst: 30)
    private static let maximumPlaces = 4096

    private struct State {
        var theoreticalArrivalTimes: [Peer.Network: Int64] = [:]
        /// Shared by all places that do not fit.
        var others: Int64 = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// Seconds until a place may fail again, if it has done so too often; counts this failure otherwise.
    func retryAfter(failureFrom place: Peer.Network, now: NIODeadline) -> Int? {
        let now = Int64(clamping: now.uptimeNanoseconds)
        return state.withLock { state in
            if state.theoreticalArrivalTimes[place] == nil && state.theoreticalArrivalTimes.count >= Self.maximumPlaces
            {
                state.theoreticalArrivalTimes = state.theoreticalArrivalTimes.filter { $0.value > now }
            }
            let fits =
                state.theoreticalArrivalTimes[place] != nil || state.theoreticalArrivalTimes.count < Self.maximumPlaces
            switch Self.limit.decide(
                theoreticalArrivalTime: fits ? state.theoreticalArrivalTimes[place] ?? 0 : state.others, now: now)
            {
            case .allowed(let theoreticalArrivalTime):
                if fits {
                    state.theoreticalArrivalTimes[place] = theoreticalArrivalTime
                } else {
                    state.others = theoreticalArrivalTime
                }
                return nil
            case .refused(let nanoseconds):
                return Duration.nanoseconds(nanoseconds).asRetryAfterSeconds
            }
        }
    }
}
