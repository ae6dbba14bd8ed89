import Synchronization

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
    let interval: Int64
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

    /// Tells it from every other.
    var identifier: Int { perSecond << 32 | burst }

    private init(perSecond: Int, burst: Int, interval: Int64) {
        self.perSecond = perSecond
        self.burst = burst
        self.interval = interval
        tolerance = interval * Int64(burst - 1)
    }

    /// One of so many equal parts: the same pace so many times slower, and at least one at once.
    func share(among parts: Int) -> RateLimit {
        let parts = min(max(parts, 1), 1_000)
        return RateLimit(perSecond: perSecond, burst: max(1, burst / parts), interval: interval * Int64(parts))
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
            burst: burst, window: Int((interval * Int64(burst) + 999_999_999) / 1_000_000_000),
            remaining: early > tolerance ? 0 : Int((tolerance - early) / interval) + 1,
            secondsUntilFull: Int((early + 999_999_999) / 1_000_000_000))
    }

    /// Counts one that comes now, if it is not too soon. For all event loops.
    ///
    /// - Parameter remembered: the theoretical arrival time.
    /// - Returns: nil if it may come; else the nanoseconds until one may.
    func pass(_ remembered: borrowing Atomic<Int64>, now: Int64) -> Int64? {
        var seen = remembered.load(ordering: .relaxed)
        while true {
            switch decide(theoreticalArrivalTime: seen, now: now) {
            case .refused(let nanoseconds): return nanoseconds
            case .allowed(let next):
                let (exchanged, current) = remembered.compareExchange(
                    expected: seen, desired: next, ordering: .relaxed)
                if exchanged { return nil }
                seen = current
            }
        }
    }

    /// The moment to remember of which none may come before the pace allows it: all of `burst` are used up.
    func exhausted(now: Int64) -> Int64 { now + tolerance + interval }

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
