import NIOCore

/// How many messages of a skill a region takes in a second, as far as its answers show: Amazon publishes no number.
///
/// What it let through while it answered 429, less a margin; then more and more, until it answers 429 again. Pure: time is passed in.
struct QuotaEstimate: Sendable {
    /// What came of the messages of the last second, on all replicas.
    struct Sample: Equatable, Sendable {
        var letThrough = 0.0
        var throttled = 0.0

        var total: Double { letThrough + throttled }
    }

    /// Of what was let through, so that chance does not bring about the next 429 at once.
    private static let margin = 0.9
    /// Fewer 429s in a hundred answers are no limit.
    private static let minimumPercentage = 1.0
    /// A sample is only looked at once none of it is from before the last estimate.
    private static let window = TimeAmount.seconds(1)
    /// Nothing is tried so soon after a 429.
    private static let patience = TimeAmount.seconds(5)
    /// A hundredth more a second; twice as much with every further wait of `doubling`.
    private static let growth = 0.01
    private static let doubling = TimeAmount.seconds(4)
    /// By then all replicas that draw 429s have reported.
    private static let beginning = TimeAmount.milliseconds(400)

    /// Nil: not known.
    private(set) var perSecond: Double?
    private var changed: NIODeadline
    private(set) var lastThrottled: NIODeadline

    init(now: NIODeadline) {
        (changed, lastThrottled) = (now + Self.beginning - Self.window, now)
    }

    /// - Parameters:
    ///   - others: what other replicas estimate. They see the same, at other moments.
    ///   - holdsBack: whether somebody is held to a share, so that more can be tried.
    ///   - elapsed: since the last time.
    /// - Returns: whether there is a new estimate, so that who drew the 429s is known.
    mutating func observe(
        _ sample: Sample, others: [Double], holdsBack: Bool, elapsed: TimeAmount, now: NIODeadline
    ) -> Bool {
        let known = others + (perSecond.map { [$0] } ?? [])
        if !known.isEmpty { perSecond = known.reduce(0, +) / Double(known.count) }
        if sample.throttled > 0 { lastThrottled = now }
        if sample.throttled > 0, sample.throttled * 100 >= sample.total * Self.minimumPercentage {
            guard now - changed >= Self.window else { return false }
            perSecond = max(1, Self.margin * max(sample.letThrough, (perSecond ?? 0) / 2))
            changed = now
            return true
        }
        let quiet = now - max(changed, lastThrottled) - Self.patience
        if holdsBack, quiet > .zero, let estimate = perSecond {
            let doublings = min(10, quiet.inSeconds / Self.doubling.inSeconds)
            var rate = Self.growth
            for _ in 0..<Int(doublings) { rate *= 2 }
            perSecond = estimate * (1 + min(1, rate) * min(1, elapsed.inSeconds))
        }
        return false
    }
}
