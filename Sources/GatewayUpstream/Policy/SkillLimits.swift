import NIOCore

/// The messages of each skill that are in flight to one region, and how many may be: without a limit, until Amazon answers 429, which
/// says something of the skill that drew it and of no other. Those above the limit wait, each skill's by themselves.
///
/// Pure: time is passed in.
struct SkillLimits<Waiter> {
    private struct Entry {
        var inFlight = 0
        /// Nil until there was a 429.
        var limit: InFlightLimit?
        var waiters = FairQueue<Waiter>()
        var queue: StandingQueue

        init(queue: StandingQueue) {
            self.queue = queue
        }

        var isAtLimit: Bool { limit.map { inFlight >= $0.current } ?? false }
    }

    private let maximum: Int
    private let configuration: InFlightLimit.Configuration
    private let queue: StandingQueue
    /// By the skill's label.
    private var entries: [Entry] = []
    /// Those that wait, of all skills.
    private(set) var waiting = 0

    /// - Parameters:
    ///   - maximum: the limit of a skill that has recovered.
    ///   - standing: the messages of a skill wait for a short time only once some have waited all the time for so long.
    init(maximum: Int, _ configuration: InFlightLimit.Configuration, standing: TimeAmount) {
        self.maximum = maximum
        self.configuration = configuration
        queue = StandingQueue(after: standing)
    }

    /// Counts one more message in flight; false if the skill is at its limit.
    mutating func enter(_ skill: Int) -> Bool {
        if entries.count <= skill { addEntries(upTo: skill) }
        guard !entries[skill].isAtLimit else { return false }
        entries[skill].inFlight += 1
        return true
    }

    /// A message is no longer in flight.
    ///
    /// - Returns: the one that waits and is in flight instead.
    mutating func leave(_ skill: Int) -> Waiter? {
        entries[skill].inFlight -= 1
        guard waiting > 0 else { return nil }
        return nextWaiter(of: skill)
    }

    /// One more that may be in flight, since the limit has grown.
    mutating func nextWaiter(of skill: Int) -> Waiter? {
        guard !entries[skill].isAtLimit, let waiter = entries[skill].waiters.popFirst() else { return nil }
        waiting -= 1
        entries[skill].inFlight += 1
        return waiter
    }

    /// Whether one that waits now, for a skill at its limit, joins a queue that stands.
    mutating func joinsStandingQueue(of skill: Int, now: NIODeadline) -> Bool {
        entries[skill].queue.joined(behind: entries[skill].waiters.count, now: now)
    }

    mutating func wait(_ waiter: Waiter, skill: Int, owner: Int) {
        entries[skill].waiters.append(waiter, of: owner)
        waiting += 1
    }

    /// Takes out those for which `isOver` is true.
    mutating func removeWaiters(where isOver: (Waiter) -> Bool) -> [Waiter] {
        guard waiting > 0 else { return [] }
        var removed: [Waiter] = []
        for skill in entries.indices { removed += entries[skill].waiters.removeAll(where: isOver) }
        waiting -= removed.count
        return removed
    }

    /// Those that wait, in no particular order.
    var waiters: some Sequence<Waiter> { entries.lazy.flatMap { $0.waiters.elements } }

    private mutating func addEntries(upTo skill: Int) {
        while entries.count <= skill { entries.append(Entry(queue: queue)) }
    }

    /// Amazon answered 429 to a message of the skill.
    mutating func throttled(_ skill: Int, now: NIODeadline) {
        var limit = entries[skill].limit ?? InFlightLimit(maximum: maximum, configuration)
        limit.overloaded(inFlight: entries[skill].inFlight, now: now)
        entries[skill].limit = limit
    }

    /// By skill, of those that may have fewer in flight than the region takes.
    var reducedLimits: [Int: Int] {
        var limits: [Int: Int] = [:]
        for (skill, entry) in entries.enumerated() {
            if let limit = entry.limit, limit.isReduced { limits[skill] = limit.current }
        }
        return limits
    }

    /// Whether `answered` has to be told of the skill's answers.
    func isWatching(_ skill: Int) -> Bool { entries[skill].limit != nil }

    /// Amazon answered something else.
    mutating func answered(_ skill: Int, now: NIODeadline) {
        guard var limit = entries[skill].limit else { return }
        limit.answered(inFlight: entries[skill].inFlight, now: now)
        entries[skill].limit = limit
    }
}
