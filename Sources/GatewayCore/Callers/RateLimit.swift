/// A rate and a burst, by the generic cell rate algorithm (GCRA); the state is one theoretical arrival time. Pure: times
/// are passed in, in nanoseconds.
package struct RateLimit: Equatable, Sendable {
    package enum Decision: Equatable, Sendable {
        /// The moment to remember.
        case allowed(theoreticalArrivalTime: Int64)
        /// Nanoseconds until one is allowed.
        case refused(retryAfter: Int64)
    }

    package let perSecond: Int
    package let burst: Int
    /// Between two that keep the pace.
    private let interval: Int64
    /// So much ahead of the pace may one come.
    private let tolerance: Int64

    /// - Parameters:
    ///   - perSecond: 1 to 1,000,000; what is outside counts as the nearer of the two.
    ///   - burst: how many may come at once after a pause; likewise.
    package init(perSecond: Int, burst: Int) {
        self.perSecond = min(max(perSecond, 1), 1_000_000)
        self.burst = min(max(burst, 1), 1_000_000)
        interval = 1_000_000_000 / Int64(self.perSecond)
        tolerance = interval * Int64(self.burst - 1)
    }

    /// What a caller is told of its limit.
    package struct Quota: Equatable, Sendable {
        /// May come at once after a pause …
        var burst: Int
        /// … and, if they do, are there again after so many seconds.
        var window: Int
        /// May come now.
        var remaining: Int
        /// Seconds until all of `burst` are there again.
        var secondsUntilFull: Int
    }

    func quota(theoreticalArrivalTime: Int64, now: Int64) -> Quota {
        let early = max(0, theoreticalArrivalTime - now)
        return Quota(
            burst: burst, window: (burst + perSecond - 1) / perSecond,
            remaining: early > tolerance ? 0 : Int((tolerance - early) / interval) + 1,
            secondsUntilFull: Int((early + 999_999_999) / 1_000_000_000))
    }

    /// - Parameters:
    ///   - theoreticalArrivalTime: as it was remembered; 0 at first.
    ///   - count: how many come together. They are allowed if one is, and those that come later wait for all of them.
    package func decide(theoreticalArrivalTime: Int64, now: Int64, count: Int = 1) -> Decision {
        let early = theoreticalArrivalTime - now
        guard early <= tolerance else { return .refused(retryAfter: early - tolerance) }
        let all = interval * Int64(min(max(count, 1), 1_000))
        return .allowed(theoreticalArrivalTime: max(theoreticalArrivalTime, now) + all)
    }
}
