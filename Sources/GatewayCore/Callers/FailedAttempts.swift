import NIOCore
import Synchronization

/// Counts failed attempts to authenticate by the place they come from, for all event loops. Only failures come here, so
/// that a caller with good credentials never waits for its lock, nor for a neighbour's mistakes.
package final class FailedAttempts: Sendable {
    private static let limit = RateLimit(perSecond: 1, burst: 30)
    private static let maximumPlaces = 4096

    private struct State {
        var nextArrivals: [Peer.Place: Int64] = [:]
        /// Shared by all places that do not fit.
        var others: Int64 = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// Seconds until a place may fail again, if it has done so too often; counts this failure otherwise.
    func retryAfter(failureFrom place: Peer.Place, now: NIODeadline) -> Int? {
        let now = Int64(clamping: now.uptimeNanoseconds)
        return state.withLock { state in
            if state.nextArrivals[place] == nil && state.nextArrivals.count >= Self.maximumPlaces {
                state.nextArrivals = state.nextArrivals.filter { $0.value > now }
            }
            let fits = state.nextArrivals[place] != nil || state.nextArrivals.count < Self.maximumPlaces
            switch Self.limit.decide(
                nextArrival: fits ? state.nextArrivals[place] ?? 0 : state.others, now: now)
            {
            case .allowed(let nextArrival):
                if fits { state.nextArrivals[place] = nextArrival } else { state.others = nextArrival }
                return nil
            case .refused(let nanoseconds):
                return Duration.nanoseconds(nanoseconds).asRetryAfterSeconds
            }
        }
    }
}
