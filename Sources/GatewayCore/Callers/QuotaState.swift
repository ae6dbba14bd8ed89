import NIOCore

/// One skill in one region, while Amazon answers 429 to it: who wants how much, what Amazon takes of it, and the share of each caller.
///
/// Pure: time is passed in.
struct QuotaState: Sendable {
    /// What becomes of a message that Amazon answered 429.
    enum Verdict: Equatable, Sendable {
        /// The caller gets the answer.
        case forward
        /// Who has drawn it will be known then.
        case undecided(until: NIODeadline)
        /// The caller keeps to its share, and others brought it about: the message is sent again, after a pause.
        case sendAgain
    }

    /// The allowance of a caller that wants more than its share, on this replica.
    private struct Allowance {
        /// Between two messages, in nanoseconds.
        var interval: Int64
        /// Ahead of the pace.
        var tolerance: Int64
        var theoreticalArrivalTime: Int64 = 0
    }

    private struct CallerState {
        let id: String
        var weight: Int
        /// Since the last tick.
        var asked = 0
        /// A second, on this replica.
        var wanted = 0.0
        var lastSecond = LastSecond()
        var allowance: Allowance?
        /// It has drawn its part of the 429s, and that counts until then; what Amazon refuses others is not for it to make up for.
        var throttledUntil: NIODeadline?
        /// It wants no more than the least that it may have, beside others, and draws no more 429s for it than they do; as far as is known.
        var keepsToShare = true
        /// 429s, since the first of the skill.
        var drawn = 0
        /// Its messages that wait for a verdict, or to be sent again.
        var held = 0
    }

    /// The answers of the last second.
    private struct LastSecond {
        private var letThrough = [Int](repeating: 0, count: QuotaState.ticksPerSecond)
        private var throttled = [Int](repeating: 0, count: QuotaState.ticksPerSecond)
        private var slot = 0

        var letThroughCount: Int { letThrough.reduce(0, +) }
        var throttledCount: Int { throttled.reduce(0, +) }

        /// - Parameter earlier: those of the second before, which are over one after the other.
        init(letThrough earlier: Int = 0) {
            for slot in letThrough.indices { letThrough[slot] = earlier / letThrough.count }
            letThrough[0] += earlier % letThrough.count
        }

        mutating func count(isThrottled: Bool) {
            if isThrottled { throttled[slot] += 1 } else { letThrough[slot] += 1 }
        }

        mutating func tick() {
            slot = (slot + 1) % QuotaState.ticksPerSecond
            (letThrough[slot], throttled[slot]) = (0, 0)
        }
    }

    static let tick = TimeAmount.milliseconds(250)
    private static let ticksPerSecond = 4
    /// What is wanted in one tick counts for a quarter of the whole.
    private static let smoothing = 0.25
    /// So much of a second's share may come at once.
    private static let burst = 0.1
    /// So long somebody who has drawn 429s can be held to a share without drawing more.
    private static let throttledLifetime = TimeAmount.minutes(2)
    /// Of each caller, and process: each holds its request.
    private static let heldMaximum = 64
    /// Amazon's own window may have been used up long before it ends.
    private static let maximumTimeSinceAcceptance = TimeAmount.seconds(2)
    /// What others see is known by then, or will not be soon.
    private static let firstReportTimeout = TimeAmount.milliseconds(100)
    private static let firstReportCheck = TimeAmount.milliseconds(20)
    /// In a second, by chance.
    private static let fewThrottled = 2
    /// 429s that make nobody suspect.
    private static let suspicionThreshold = 8
    /// Without a 429 for so long, nobody is held to anything.
    private static let quietTimeBeforeForgetting = TimeAmount.minutes(1)
    /// While the store is away, what others have said last counts for so long.
    private static let reportLifetime = TimeAmount.seconds(10)

    /// Who has drawn the 429s is known by then, if there are as many as a quota brings about.
    private static let learningTime = TimeAmount.seconds(1)

    private let started: NIODeadline
    private var estimate: QuotaEstimate
    private var lastTick: NIODeadline
    private var lastUse: NIODeadline
    private var lastReport = NIODeadline.distantPast
    private var lastSecond: LastSecond
    /// From 0 to 1: how much of the whole the wishes are that have been seen.
    private var completeness = 0.0
    /// 429s, since the first.
    private var drawn = 0
    /// By label; nil: it has not been here.
    private var callers: [CallerState?] = []
    private var others: [QuotaReport] = []
    private var othersHeard: NIODeadline
    /// Whether a caller, on whichever replica, is held to a share.
    private(set) var holdsBack = false
    /// When Amazon let something through last, as far as is known. Where it lets nothing through, nothing is gained by waiting.
    private var lastTaken: NIODeadline?
    /// Several callers want something.
    private var isShared: Bool
    /// What other replicas see is not known yet.
    private var isToHearOthers: Bool

    /// - Parameters:
    ///   - letThrough: messages of the last second that Amazon has answered otherwise.
    ///   - isShared: those of several callers.
    ///   - hasReplicas: what others see is to be heard at once.
    init(letThrough: Int, isShared: Bool, hasReplicas: Bool, now: NIODeadline) {
        isToHearOthers = hasReplicas
        lastSecond = LastSecond(letThrough: letThrough)
        (lastTaken, self.isShared) = (letThrough > 0 ? now : nil, isShared)
        estimate = QuotaEstimate(now: now)
        (started, lastTick, lastUse, othersHeard) = (now, now, now, now)
    }

    /// Messages a second, of all replicas together; nil: not known.
    var perSecond: Double? { estimate.perSecond }

    // MARK: Messages

    /// A message wants to be sent.
    ///
    /// - Returns: nil if it may; else the nanoseconds until the next one of the caller may.
    mutating func admit(_ caller: Caller, now: NIODeadline) -> Int64? {
        update(caller) { entry in
            entry.asked += 1
            guard var allowance = entry.allowance else { return nil }
            let now = Int64(clamping: now.uptimeNanoseconds)
            let arrival = max(allowance.theoreticalArrivalTime, now)
            guard arrival - now <= allowance.tolerance else { return arrival - now - allowance.tolerance }
            allowance.theoreticalArrivalTime = arrival + allowance.interval
            entry.allowance = allowance
            return nil
        }
    }

    /// - Parameter isRepeated: the message was answered 429 before, which says more of others than of the caller.
    mutating func answered(_ caller: Caller, isThrottled: Bool, isRepeated: Bool = false) {
        guard !isThrottled || !isRepeated else { return }
        lastSecond.count(isThrottled: isThrottled)
        if isThrottled { drawn += 1 }
        update(caller) { entry in
            entry.lastSecond.count(isThrottled: isThrottled)
            if isThrottled { entry.drawn += 1 }
        }
    }

    /// Amazon answered 429 to a message of the caller.
    ///
    /// - Parameter hasWaited: it did so before, and nobody knew why.
    func verdict(on caller: Caller, hasWaited: Bool = false, now: NIODeadline) -> Verdict {
        guard let entry = callers.indices.contains(caller.label) ? callers[caller.label] : nil, entry.allowance == nil
        else { return .forward }
        if isToHearOthers && now - started < Self.firstReportTimeout {
            return .undecided(until: now + Self.firstReportCheck)
        }
        guard isShared, let lastTaken, now - lastTaken < Self.maximumTimeSinceAcceptance else { return .forward }
        if holdsBack { return entry.keepsToShare ? .sendAgain : .forward }
        guard now - started < Self.learningTime else {
            return hasWaited || entry.keepsToShare ? .sendAgain : .forward
        }
        // Whoever floods is not to be slowed down by its messages that wait: how much it wants has to be seen.
        return hasDrawnMost(entry) ? .forward : .undecided(until: max(now, lastTick + Self.tick) + Self.tick)
    }

    private func hasDrawnMost(_ entry: CallerState) -> Bool {
        let weights = callers.reduce(0) { $0 + ($1?.weight ?? 0) }
        // There may be others, on other replicas.
        let part = Double(entry.weight) / Double(max(weights, 2 * entry.weight))
        return entry.drawn > Self.suspicionThreshold && Double(entry.drawn) > 1.5 * part * Double(drawn)
    }

    /// A message begins to wait; false if too many of the caller do.
    mutating func hold(_ caller: Caller) -> Bool {
        update(caller) { entry in
            guard entry.held < Self.heldMaximum else { return false }
            entry.held += 1
            return true
        }
    }

    mutating func release(_ caller: Caller) { update(caller) { $0.held = max(0, $0.held - 1) } }

    private mutating func update<Result>(_ caller: Caller, _ change: (inout CallerState) -> Result) -> Result {
        while callers.count <= caller.label { callers.append(nil) }
        if callers[caller.label] == nil && callers.contains(where: { $0 != nil }) { isShared = true }
        var entry = callers[caller.label] ?? CallerState(id: caller.recordID, weight: caller.weight)
        entry.weight = caller.weight
        callers[caller.label] = nil
        defer { callers[caller.label] = entry }
        return change(&entry)
    }

    // MARK: Time

    /// Ends a tick.
    ///
    /// - Returns: what the other replicas are to know; nil: Amazon takes all again, and nothing more is to be done.
    mutating func report(now: NIODeadline) -> QuotaReport? {
        let isOver = now - estimate.lastComplaint >= Self.quietTimeBeforeForgetting && !holdsBack
        guard !isOver || callers.contains(where: { ($0?.held ?? 0) > 0 }) else { return nil }
        // The first report comes at once.
        let isEarly = (now - lastTick) * 2 < Self.tick
        if !isEarly { smoothWishes(now: now) }
        let noise = estimate.noise(now: now)
        var report = QuotaReport(
            estimate: estimate.perSecond, noise: noise.share, noiseLeft: Int(noise.left.nanoseconds / 1_000_000),
            letThrough: lastSecond.letThroughCount, throttled: lastSecond.throttledCount)
        for case let entry? in callers {
            let wanted = isEarly ? Double(entry.asked) / Self.tick.inSeconds : entry.wanted / completeness
            guard wanted > 0 else { continue }
            report.callers.append(
                QuotaReport.Caller(
                    id: entry.id, weight: entry.weight, wanted: wanted,
                    letThrough: entry.lastSecond.letThroughCount, throttled: entry.lastSecond.throttledCount,
                    isThrottled: entry.throttledUntil.map { $0 > now } ?? false))
        }
        if !isEarly {
            lastSecond.tick()
            for index in callers.indices { callers[index]?.lastSecond.tick() }
        }
        report.callers.sort { $0.wanted > $1.wanted }
        report.callers.removeLast(max(0, report.callers.count - QuotaReport.maximumCallers))
        return report
    }

    private mutating func smoothWishes(now: NIODeadline) {
        let seconds = (now - lastTick).inSeconds
        lastTick = now
        completeness += (1 - completeness) * Self.smoothing
        for index in callers.indices {
            guard var entry = callers[index] else { continue }
            entry.wanted += (Double(entry.asked) / seconds - entry.wanted) * Self.smoothing
            entry.asked = 0
            if entry.wanted < 0.01 { entry.wanted = 0 }
            callers[index] = entry
        }
    }

    /// - Parameters:
    ///   - own: what this replica has reported, and when.
    ///   - reports: those of the others; nil: they cannot be had.
    mutating func use(
        own: QuotaReport, of time: NIODeadline, others new: [QuotaReport]?, now: NIODeadline
    ) {
        if let new {
            (others, othersHeard, isToHearOthers) = (new, now, false)
        } else if now - othersHeard >= Self.reportLifetime {
            others = []
        }
        // A reply that comes after the next report says nothing new of this replica.
        guard time >= lastReport else { return }
        lastReport = time
        let reports = [own] + others
        var callersOfAll = Self.sums(of: reports)
        let sample = QuotaEstimate.Sample(
            letThrough: Double(reports.reduce(0) { $0 + $1.letThrough }),
            throttled: Double(reports.reduce(0) { $0 + $1.throttled }),
            callers: callersOfAll.values.count { $0.throttled > 0 })
        let elapsed = now - lastUse
        lastUse = now
        if sample.letThrough > 0 { lastTaken = now }
        let isNew = estimate.observe(
            sample, others: others, holdsBack: holdsBack, elapsed: elapsed, now: now)
        if isNew {
            for id in Self.throttled(of: callersOfAll, sample) {
                callersOfAll[id]?.isThrottled = true
                guard let index = callers.firstIndex(where: { $0?.id == id }) else { continue }
                callers[index]?.throttledUntil = now + Self.throttledLifetime
            }
        }
        divide(callersOfAll, own, sample)
    }

    private static func sums(of reports: [QuotaReport]) -> [String: QuotaReport.Caller] {
        var sums: [String: QuotaReport.Caller] = [:]
        for caller in reports.lazy.flatMap(\.callers) {
            guard var sum = sums[caller.id] else {
                sums[caller.id] = caller
                continue
            }
            sum.wanted += caller.wanted
            sum.letThrough += caller.letThrough
            sum.throttled += caller.throttled
            sum.isThrottled = sum.isThrottled || caller.isThrottled
            sums[caller.id] = sum
        }
        return sums
    }

    /// Those that have drawn at least half as many 429s, for what they sent, as all together.
    private static func throttled(
        of all: [String: QuotaReport.Caller], _ sample: QuotaEstimate.Sample
    ) -> [String] {
        all.values.filter { caller in
            let sent = Double(caller.letThrough + caller.throttled)
            return sent > 0 && Double(caller.throttled) * sample.total * 2 >= sample.throttled * sent
        }.map(\.id)
    }

    /// More than half as much again, for what it sent.
    private static func drawsMore(_ caller: QuotaReport.Caller, than sample: QuotaEstimate.Sample) -> Bool {
        let sent = Double(caller.letThrough + caller.throttled)
        return Double(caller.throttled) * sample.total > 1.5 * sample.throttled * sent
    }

    private mutating func divide(
        _ all: [String: QuotaReport.Caller], _ own: QuotaReport, _ sample: QuotaEstimate.Sample
    ) {
        let wanting = all.values.filter { $0.wanted > 0 }
        isShared = wanting.count > 1
        // Those that want more than their share, and of these such as have drawn 429s.
        var (limited, shares): ([String: Double], [String: Double]) = ([:], [:])
        holdsBack = false
        // A caller that is alone takes nothing from anybody.
        if let total = estimate.perSecond, wanting.count > 1 {
            let demands = wanting.map { FairShares.Demand(wanted: $0.wanted, weight: Double($0.weight)) }
            for case (let caller, let share?) in zip(wanting, FairShares.divide(total, among: demands)) {
                limited[caller.id] = share
                guard caller.isThrottled else { continue }
                shares[caller.id] = share
                holdsBack = true
            }
        }
        let ownWishes = Dictionary(own.callers.map { ($0.id, $0.wanted) }, uniquingKeysWith: { one, _ in one })
        let weights = wanting.reduce(0) { $0 + $1.weight }
        // What each had let through before the first 429 is not known.
        let isLearning = lastUse - started < Self.learningTime * 2
        for index in callers.indices {
            guard let entry = callers[index] else { continue }
            let sum = all[entry.id]
            // Whoever wants nothing lately takes nothing from anybody.
            callers[index]?.keepsToShare = sum == nil
            if let sum, let total = estimate.perSecond, wanting.count > 1 {
                let least = total * Double(sum.weight) / Double(weights)
                let isWithin = holdsBack ? limited[entry.id] == nil : sum.wanted <= least
                callers[index]?.keepsToShare =
                    isWithin
                    && (isLearning || sum.throttled <= Self.fewThrottled || !Self.drawsMore(sum, than: sample))
            }
            guard let share = shares[entry.id], let sum else {
                callers[index]?.allowance = nil
                continue
            }
            // The share belongs to all replicas, each by what it is asked for.
            let perSecond = max(0.2, share * (ownWishes[entry.id] ?? 0) / sum.wanted)
            let interval = 1_000_000_000 / perSecond
            let burst = max(1, perSecond * Self.burst)
            var allowance = entry.allowance ?? Allowance(interval: 0, tolerance: 0)
            (allowance.interval, allowance.tolerance) = (Int64(interval), Int64(interval * (burst - 1)))
            callers[index]?.allowance = allowance
        }
    }
}
