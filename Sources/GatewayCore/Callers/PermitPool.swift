import NIOCore
import Synchronization

/// The permits that this process has of one rate, for all event loops. No lock: each number is one atomic, and those that are read
/// together may be of slightly different moments.
final class PermitPool: Sendable {
    enum Taking: Equatable {
        /// - Parameter isLow: more are to be asked for, once.
        case taken(isLow: Bool)
        /// - Parameter wait: nanoseconds until some come; nil: they have to be asked for.
        case none(wait: Int64?)
    }

    /// Permits that are older are given up: the rate they were taken from has been there again since then.
    private static let lifetime = TimeAmount.seconds(30)

    /// Permits since the start …
    private let granted = Atomic<Int>(0)
    /// … and those of them that are used up. More on credit.
    private let taken = Atomic<Int>(0)
    /// More are asked for when so many are used up.
    private let low = Atomic<Int>(-1)
    private let refusals = Atomic<Int>(0)
    private let discarded = Atomic<Int>(0)
    private let expires = Atomic<Int64>(0)
    /// When permits come that are already granted; 0: none are.
    private let arrival = Atomic<Int64>(0)
    /// The theoretical arrival time of the deployment's next request, as far as it is known.
    private let theoreticalArrivalTime = Atomic<Int64>(0)

    func take(now: Int64) -> Taking {
        var seen = taken.load(ordering: .relaxed)
        while true {
            let all = granted.load(ordering: .acquiring)
            let isExpired = now >= expires.load(ordering: .relaxed)
            guard seen < all, !isExpired else {
                if seen < all { discard() }
                let arrival = arrival.load(ordering: .relaxed)
                guard arrival > now else { return .none(wait: nil) }
                refusals.add(1, ordering: .relaxed)
                return .none(wait: arrival - now)
            }
            let (exchanged, current) = taken.compareExchange(expected: seen, desired: seen + 1, ordering: .relaxed)
            if exchanged { return .taken(isLow: seen + 1 == low.load(ordering: .relaxed)) }
            seen = current
        }
    }

    /// Uses up one that has yet to come.
    func takeOnCredit() { taken.add(1, ordering: .relaxed) }

    /// - Parameter takenByNow: so many of them.
    func add(_ permits: Int, takenByNow: Int, now: Int64) {
        arrival.store(0, ordering: .relaxed)
        taken.add(takenByNow, ordering: .relaxed)
        expires.store(now + Self.lifetime.nanoseconds, ordering: .relaxed)
        let all = granted.add(permits, ordering: .releasing).newValue
        low.store(all - max(0, all - taken.load(ordering: .relaxed)) / 4, ordering: .relaxed)
    }

    /// Granted permits come at this moment.
    func expect(at moment: Int64) { arrival.store(moment, ordering: .relaxed) }

    /// Gives up what is at hand.
    func discard() {
        var seen = taken.load(ordering: .relaxed)
        while true {
            let all = granted.load(ordering: .relaxed)
            guard seen < all else { return }
            let (exchanged, current) = taken.compareExchange(expected: seen, desired: all, ordering: .relaxed)
            if exchanged {
                discarded.add(all - seen, ordering: .relaxed)
                return
            }
            seen = current
        }
    }

    var atHand: Int { granted.load(ordering: .relaxed) - taken.load(ordering: .relaxed) }

    /// Requests that wanted a permit, since the start.
    var demand: Int {
        taken.load(ordering: .relaxed) - discarded.load(ordering: .relaxed) + refusals.load(ordering: .relaxed)
    }

    // MARK: Quota

    func told(_ theoreticalArrivalTime: Int64) {
        self.theoreticalArrivalTime.store(theoreticalArrivalTime, ordering: .relaxed)
    }

    /// What may come as far as this process knows: its own permits, and what the deployment had left when it asked last.
    func quota(_ limit: RateLimit, now: Int64) -> RateLimit.Quota {
        let time = max(theoreticalArrivalTime.load(ordering: .relaxed), now)
        return limit.quota(
            theoreticalArrivalTime: time - Int64(max(0, min(atHand, limit.burst))) * limit.interval, now: now)
    }
}
