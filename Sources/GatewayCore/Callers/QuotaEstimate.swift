import NIOCore

/// How many messages of a skill a region takes in a second, as far as its answers show: Amazon publishes no number.
///
/// What it let through while it answered 429, less a margin; then more and more, until it answers 429 again. Pure: time is passed in.
struct QuotaEstimate: Sendable {
    /// What came of the messages of the last second, on all replicas.
    struct Sample: Equatable, Sendable {
        var letThrough = 0.0
        /// Those that are sent again do not count again.
        var throttled = 0.0
        /// That drew 429s.
        var callers = 0

        var total: Double { letThrough + throttled }
    }

    /// Of what was let through, so that chance does not bring about the next 429 at once.
    private static let margin = 0.9
    /// A smaller share of the answers is no limit, nor are fewer than these, or those of a single caller: it may have drawn them by what it
    /// sends to one user.
    private static let leastShare = 0.01
    private static let leastCount = 3.0
    private static let leastCallers = 2
    /// Of the last estimate: more is not taken back at once, since what was let through in one second says little by itself.
    private static let leastOfLast = 0.8
    /// A sample is only looked at once none of it is from before the last estimate.
    private static let window = TimeAmount.seconds(1)
    /// Those that have ended in the last second.
    private static let secondsLookedAt = 5
    /// Nothing is tried so soon after a 429.
    private static let quietTimeBeforeGrowth = TimeAmount.seconds(5)
    /// A hundredth more a second; twice as much with every further wait of `doubling`.
    private static let growth = 0.01
    private static let doubling = TimeAmount.seconds(4)
    /// By then all replicas that draw 429s have reported.
    private static let timeBeforeFirstEstimate = TimeAmount.milliseconds(400)
    /// In a series of estimates, that which the last of them is compared with: by then what came before the first is over.
    private static let baseOfSeries = 3
    private static let longestSeries = 6
    /// Of the base: so much less was let through, and as large a part of it refused.
    private static let clearlyLess = 0.85
    private static let asMuch = 0.6
    /// Where more is refused, there is a limit.
    private static let mostNoise = 0.5
    /// For so long 429s that come however little is sent are not taken for a limit.
    private static let noiseLifetime = TimeAmount.minutes(1)

    /// Nil: not known, or there is no limit.
    private(set) var perSecond: Double?
    private var changed: NIODeadline
    /// When 429s were a part of the answers that shows a limit.
    private(set) var lastComplaint: NIODeadline
    /// The share of 429s that do not depend on how much is sent, and until when that counts.
    private var noise = 0.0
    private var noiseEnds: NIODeadline
    /// Estimates in a row, and what the base of them was made of.
    private var series = 0
    private var base = (letThrough: 0.0, share: 0.0)
    /// What was let through in the seconds that ended lately. A single one may be short of what is taken, since what came before it had
    /// used up Amazon's own second, and what came in it was held back.
    private var letThrough: [Double] = []

    init(now: NIODeadline) {
        changed = now + Self.timeBeforeFirstEstimate - Self.window
        (lastComplaint, noiseEnds) = (now, now)
    }

    /// - Parameters:
    ///   - others: the reports of other replicas. They see the same, at other moments.
    ///   - holdsBack: whether somebody is held to a share, so that more can be tried.
    ///   - elapsed: since the last time.
    /// - Returns: whether there is a new estimate, so that who drew the 429s is known.
    mutating func observe(
        _ sample: Sample, others: [QuotaReport], holdsBack: Bool, elapsed: TimeAmount, now: NIODeadline
    ) -> Bool {
        if now >= noiseEnds { noise = 0 }
        letThrough.append(sample.letThrough)
        if letThrough.count > Self.secondsLookedAt { letThrough.removeFirst() }
        for other in others where other.noise > 0 {
            believe(other.noise, until: min(now + .milliseconds(Int64(other.noiseLeft)), now + Self.noiseLifetime))
        }
        let known =
            (noise > 0 ? [] : others.compactMap(\.estimate).map { min(max($0, 1), 1_000_000) })
            + (perSecond.map { [$0] } ?? [])
        if !known.isEmpty { perSecond = known.reduce(0, +) / Double(known.count) }
        let share = sample.total > 0 ? sample.throttled / sample.total : 0
        guard sample.throttled >= Self.leastCount, sample.callers >= Self.leastCallers,
            share >= max(Self.leastShare, 2 * noise)
        else {
            grow(holdsBack, elapsed, now)
            return false
        }
        lastComplaint = now
        guard now - changed >= Self.window else { return false }
        return complained(sample, share, now)
    }

    private mutating func complained(_ sample: Sample, _ share: Double, _ now: NIODeadline) -> Bool {
        series = now - changed < Self.window * 3 ? series + 1 : 1
        changed = now
        let most = letThrough.max() ?? 0
        if series == Self.baseOfSeries { base = (most, share) }
        if series > Self.longestSeries {
            series = 0
            // What is let through falls with what is sent: a limit would let through as much as before.
            if most < base.letThrough * Self.clearlyLess, share > base.share * Self.asMuch, share < Self.mostNoise {
                believe(share, until: now + Self.noiseLifetime)
                return false
            }
        }
        perSecond = max(1, Self.margin * most, Self.leastOfLast * (perSecond ?? 0))
        return true
    }

    private mutating func believe(_ share: Double, until end: NIODeadline) {
        if noise == 0 { perSecond = nil }
        noise = max(noise, min(share, Self.mostNoise))
        noiseEnds = max(noiseEnds, end)
    }

    /// How much of the answers is 429 however little is sent, and for how long that counts yet.
    func noise(now: NIODeadline) -> (share: Double, left: TimeAmount) {
        noise > 0 && now < noiseEnds ? (noise, noiseEnds - now) : (0, .zero)
    }

    private mutating func grow(_ holdsBack: Bool, _ elapsed: TimeAmount, _ now: NIODeadline) {
        let quiet = now - max(changed, lastComplaint) - Self.quietTimeBeforeGrowth
        guard holdsBack, quiet > .zero, let estimate = perSecond else { return }
        var rate = Self.growth
        for _ in 0..<Int(min(10, quiet.inSeconds / Self.doubling.inSeconds)) { rate *= 2 }
        perSecond = estimate * (1 + min(1, rate) * min(1, elapsed.inSeconds))
    }
}
