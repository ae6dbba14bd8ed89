import NIOCore
import Synchronization

/// The permits that this process has of one rate, for all event loops. No lock: each number is one atomic, and those that are read
/// together may be of slightly different moments.
final class PermitPool: Sendable {
    enum Taking: Equatable {
        /// - Parameter isLow: more are to be asked for.
        case taken(isLow: Bool)
        /// - Parameter wait: nanoseconds until some come; nil: they have to be asked for.
        case none(wait: Int64?)
    }

    /// For so long after the last lease permits may be used: by then, the rate that they were taken from has been there again.
    private static let lifetime = TimeAmount.seconds(30)

    /// Permits since the start …
    private let granted = Atomic<Int>(0)
    /// … and those of them that are used up. More on credit.
    private let used = Atomic<Int>(0)
    /// More are asked for when so many are used up; the largest number: they have been asked for.
    private let low = Atomic<Int>(.max)
    private let refusals = Atomic<Int>(0)
    private let discarded = Atomic<Int>(0)
    private let expires = Atomic<Int64>(0)
    /// When permits come that are already granted; 0: none are.
    private let arrival = Atomic<Int64>(0)
    /// The theoretical arrival time of the deployment's next request, as far as it is known.
    private let theoreticalArrivalTime = Atomic<Int64>(0)

    func take(now: Int64) -> Taking {
        var seen = used.load(ordering: .relaxed)
        while true {
            let all = granted.load(ordering: .acquiring)
            guard seen < all, now < expires.load(ordering: .relaxed) else {
                if seen < all { discard(upTo: all) }
                return .none(wait: waitForArrival(now))
            }
            let (exchanged, current) = used.compareExchange(expected: seen, desired: seen + 1, ordering: .relaxed)
            if exchanged { return .taken(isLow: isLow(seen + 1)) }
            seen = current
        }
    }

    /// True once a lease.
    private func isLow(_ used: Int) -> Bool {
        used >= low.load(ordering: .relaxed) && low.exchange(.max, ordering: .relaxed) != .max
    }

    private func waitForArrival(_ now: Int64) -> Int64? {
        let arrival = arrival.load(ordering: .relaxed)
        guard arrival > now else { return nil }
        refusals.add(1, ordering: .relaxed)
        return arrival - now
    }

    /// Uses up one that has yet to come.
    func takeOnCredit() { used.add(1, ordering: .relaxed) }

    /// - Parameter usedByNow: so many of them.
    func add(_ permits: Int, usedByNow: Int, now: Int64) {
        arrival.store(0, ordering: .relaxed)
        used.add(usedByNow, ordering: .relaxed)
        expires.store(now + Self.lifetime.nanoseconds, ordering: .relaxed)
        let all = granted.add(permits, ordering: .releasing).newValue
        low.store(all - max(0, all - used.load(ordering: .relaxed)) / 4, ordering: .relaxed)
    }

    /// Granted permits come at this moment.
    func expectArrival(at moment: Int64) { arrival.store(moment, ordering: .relaxed) }

    /// Gives up what is at hand.
    func discard() { discard(upTo: granted.load(ordering: .relaxed)) }

    private func discard(upTo end: Int) {
        var seen = used.load(ordering: .relaxed)
        while seen < end {
            let (exchanged, current) = used.compareExchange(expected: seen, desired: end, ordering: .relaxed)
            if exchanged {
                discarded.add(end - seen, ordering: .relaxed)
                return
            }
            seen = current
        }
    }

    /// Negative: so many are used up on credit.
    var atHand: Int { granted.load(ordering: .relaxed) - used.load(ordering: .relaxed) }

    /// Requests that wanted a permit, since the start.
    var demand: Int {
        used.load(ordering: .relaxed) - discarded.load(ordering: .relaxed) + refusals.load(ordering: .relaxed)
    }

    // MARK: Quota

    func setTheoreticalArrivalTime(_ time: Int64) { theoreticalArrivalTime.store(time, ordering: .relaxed) }

    /// What may come as far as this process knows: its own permits, and what the deployment had left when it asked last.
    func quota(_ limit: RateLimit, now: Int64) -> RateLimit.Quota {
        let time = max(theoreticalArrivalTime.load(ordering: .relaxed), now)
        return limit.quota(
            theoreticalArrivalTime: time - Int64(max(0, min(atHand, limit.burst))) * limit.interval, now: now)
    }
}
