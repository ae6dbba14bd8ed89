import NIOCore
import Synchronization

/// How much a caller may use of the gateway.
package struct CallerLimits: Equatable, Sendable {
    package var rate: RateLimit?
    /// Messages at once.
    package var maximumInFlight: Int?

    package init(rate: RateLimit? = nil, maximumInFlight: Int? = nil) {
        self.rate = rate
        self.maximumInFlight = maximumInFlight
    }
}

/// How much a caller uses, on all event loops together. No lock: each number is one atomic.
package final class CallerUsage: Sendable {
    private let theoreticalArrivalTime = Atomic<Int64>(0)
    private let inFlight = Atomic<Int>(0)

    package init() {}

    /// Counts one request, if it is not too soon.
    func pass(_ rate: RateLimit?, now: NIODeadline) throws(CallerError) {
        guard let rate,
            let wait = rate.pass(theoreticalArrivalTime, now: Int64(clamping: now.uptimeNanoseconds))
        else { return }
        throw CallerError(rateExceededFor: wait)
    }

    /// What is left of its rate.
    func quota(_ rate: RateLimit, now: NIODeadline) -> RateLimit.Quota {
        rate.quota(
            theoreticalArrivalTime: theoreticalArrivalTime.load(ordering: .relaxed),
            now: Int64(clamping: now.uptimeNanoseconds))
    }

    /// Takes a place among the messages in flight; `leave` gives it back.
    func enter(_ maximum: Int) throws(CallerError) {
        guard inFlight.add(1, ordering: .relaxed).oldValue < maximum else {
            leave()
            throw CallerError(
                .inFlightLimitReached,
                "the caller has reached its limit of \(maximum) messages in flight; nothing was sent",
                retryAfter: .seconds(1))
        }
    }

    /// Messages that it has in flight now; counted only where they are limited.
    package var current: Int { inFlight.load(ordering: .relaxed) }

    func leave() {
        inFlight.subtract(1, ordering: .relaxed)
    }
}
