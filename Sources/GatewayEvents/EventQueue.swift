package import GatewayCore
package import NIOCore

/// Events on their way to a receiver, and when each is to be sent. Pure: times and chance are passed in.
///
/// Bounded; each caller's events, and the gateway's own, have a share of the room and a turn. While the receiver is down, one event at a
/// time is tried, with growing pauses.
package struct EventQueue: Sendable {
    package struct Configuration: Sendable {
        /// Of all that wait.
        package var limit = 20_000
        /// Sent at once, while deliveries succeed.
        var concurrency = 8
        /// Between two attempts to deliver one event.
        var retries: [TimeAmount] = [5, 15, 45, 135, 405, 900].map { .seconds($0) }
        /// Between two attempts of any event while the receiver is down: doubled with each failure.
        var firstPause = TimeAmount.seconds(1)
        var longestPause = TimeAmount.seconds(60)
        /// The longest pause that a receiver may ask for.
        var longestRetryAfter = Duration.seconds(3600)
        /// An event is given up when it is so old.
        var lifetime = TimeAmount.hours(24)

        package init() {}
    }

    package struct Entry: Equatable, Sendable {
        package let event: GatewayEvent
        /// The same with each attempt.
        package let id: String
        fileprivate let queued: NIODeadline
        fileprivate var attempts = 0
        fileprivate var due: NIODeadline
        /// The receiver it is sent to, and since when.
        fileprivate var receiver = 0
        fileprivate var sent: NIODeadline?

        fileprivate init(_ event: GatewayEvent, id: String, now: NIODeadline) {
            (self.event, self.id, queued, due) = (event, id, now, now)
        }
    }

    package enum Step: Equatable, Sendable {
        case send(Entry)
        /// Nothing is to be sent before.
        case wait(until: NIODeadline)
        /// Nothing is to be sent before another event comes, or a delivery ends.
        case idle
    }

    private let configuration: Configuration
    /// Those that may be sent. By caller; nil: the gateway's own.
    private var ready = FairBuffer<String?, Entry>()
    /// Those that have failed, by the number of attempts: each list is in the order in which they are due.
    private var failed: [CircularBuffer<Entry>]
    /// Of those, by caller.
    private var failedCounts: [String?: Int] = [:]
    /// When those were queued that are being sent, by id.
    private var sending: [String: NIODeadline] = [:]
    /// Nil: all are wanted.
    private var kinds: Set<GatewayEvent.Kind>?
    /// Counts up with each change of the receiver: what another was sent says nothing about this one.
    private var receiver = 0
    private var failuresInARow = 0
    private var lastFailure: NIODeadline?
    private var pausedUntil: NIODeadline?
    /// The receiver has asked for it.
    private var quietUntil: NIODeadline?
    private var isFinal = false
    package private(set) var statistics = EventStatistics()

    package init(_ configuration: Configuration = Configuration()) {
        self.configuration = configuration
        failed = configuration.retries.map { _ in CircularBuffer() }
    }

    /// Those that have not been delivered yet.
    package var count: Int { waiting + sending.count }

    private var waiting: Int { ready.count + failed.reduce(0) { $0 + $1.count } }

    /// Since the oldest of them was queued.
    package func oldestAge(now: NIODeadline) -> TimeAmount {
        let oldest = (ready.elements.map(\.queued) + failed.joined().map(\.queued) + sending.values).min()
        return oldest.map { now - $0 } ?? .zero
    }

    /// - Returns: an event that lost its place for it; nil while there is room.
    package mutating func add(_ event: GatewayEvent, id: String, now: NIODeadline) -> GatewayEvent? {
        guard kinds?.contains(event.kind) ?? true else { return nil }
        ready.append(Entry(event, id: id, now: now), of: event.caller)
        guard waiting > configuration.limit, let displaced = removeOldest() else { return nil }
        statistics.ended(displaced.event.kind, .overflow)
        return displaced.event
    }

    /// Of the caller that has most of them: the oldest that is new, or one that has failed.
    private mutating func removeOldest() -> Entry? {
        let counts = ready.counts.merging(failedCounts, uniquingKeysWith: +)
        guard let caller = counts.max(by: { $0.value < $1.value })?.key else { return nil }
        if let entry = ready.removeFirst(of: caller) { return entry }
        for list in failed.indices {
            guard let place = failed[list].firstIndex(where: { $0.event.caller == caller }) else { continue }
            countFailed(-1, of: caller)
            return failed[list].remove(at: place)
        }
        return nil
    }

    private mutating func countFailed(_ change: Int, of caller: String?) {
        let count = failedCounts[caller, default: 0] + change
        failedCounts[caller] = count > 0 ? count : nil
    }

    // MARK: The receiver

    /// Events go to another one from now on: nothing that the last one did counts for it.
    package mutating func receiverChanged() {
        receiver += 1
        retryAll(asNew: true)
    }

    /// There is no receiver any more.
    package mutating func discardAll() {
        receiver += 1
        discard { _ in true }
    }

    /// Nobody wants those of other kinds any more.
    package mutating func keep(only kinds: Set<GatewayEvent.Kind>) {
        self.kinds = kinds
        discard { !kinds.contains($0) }
    }

    private mutating func discard(where isUnwanted: (GatewayEvent.Kind) -> Bool) {
        var discarded = ready.removeAll { isUnwanted($0.event.kind) }
        for list in failed.indices {
            failed[list].removeAll { entry in
                guard isUnwanted(entry.event.kind) else { return false }
                discarded.append(entry)
                return true
            }
        }
        failedCounts = failed.joined().reduce(into: [:]) { $0[$1.event.caller, default: 0] += 1 }
        for entry in discarded { statistics.ended(entry.event.kind, .discarded) }
    }

    /// The process ends: each event that is left gets one attempt, at once.
    package mutating func beginFinalAttempts() {
        isFinal = true
        retryAll(asNew: false)
    }

    private mutating func retryAll(asNew: Bool) {
        (failuresInARow, lastFailure, pausedUntil, quietUntil) = (0, nil, nil, nil)
        retry(asNew: asNew) { _ in true }
    }

    private mutating func retry(asNew: Bool = false, where isDue: (Entry) -> Bool) {
        for list in failed.indices {
            while var entry = failed[list].first, isDue(entry) {
                failed[list].removeFirst()
                countFailed(-1, of: entry.event.caller)
                if asNew { entry.attempts = 0 }
                ready.append(entry, of: entry.event.caller)
            }
        }
    }

    // MARK: Deliveries

    package mutating func next(now: NIODeadline) -> Step {
        retry { $0.due <= now }
        // One at a time while it is not known whether any gets through.
        guard sending.count < (failuresInARow == 0 ? configuration.concurrency : 1) else { return .idle }
        let pause = max(pausedUntil ?? now, quietUntil ?? now)
        if pause > now { return waiting > 0 ? .wait(until: pause) : .idle }
        while var entry = ready.popFirst() {
            if now - entry.queued > configuration.lifetime {
                statistics.ended(entry.event.kind, .expired)
                continue
            }
            entry.attempts += 1
            (entry.receiver, entry.sent) = (receiver, now)
            sending[entry.id] = entry.queued
            return .send(entry)
        }
        guard let due = failed.compactMap(\.first?.due).min() else { return .idle }
        return .wait(until: due)
    }

    package mutating func delivered(_ entry: Entry, now: NIODeadline) {
        sending[entry.id] = nil
        statistics.ended(entry.event.kind, .delivered)
        guard entry.receiver == receiver else { return }
        // A pause that the receiver has asked for stays.
        (failuresInARow, lastFailure, pausedUntil) = (0, nil, nil)
    }

    /// - Parameters:
    ///   - retryAfter: what the receiver asked for; nil: nothing.
    ///   - random: from 0 up to 1, for jitter.
    package mutating func deliveryFailed(
        _ entry: Entry, _ reason: EventStatistics.FailureReason, retryAfter: Duration?, random: Double, now: NIODeadline
    ) {
        sending[entry.id] = nil
        statistics.failures[reason, default: 0] += 1
        var entry = entry
        if isFinal || kinds?.contains(entry.event.kind) == false {
            return statistics.ended(entry.event.kind, .discarded)
        }
        guard entry.receiver == receiver else {
            entry.attempts = 0
            return ready.append(entry, of: entry.event.caller)
        }
        if let retryAfter {
            let pause = TimeAmount(min(retryAfter, configuration.longestRetryAfter))
            quietUntil = max(quietUntil ?? now, now + Self.jittered(pause, random))
        }
        // Those that were on their way already when one failed say nothing new.
        if reason != .rejected, lastFailure.map({ (entry.sent ?? now) >= $0 }) ?? true {
            failuresInARow += 1
            lastFailure = now
            // The shift is bounded: the pause stops growing long before.
            let doubled = configuration.firstPause * (1 << min(failuresInARow - 1, 16))
            pausedUntil = now + Self.jittered(min(doubled, configuration.longestPause), random)
        }
        let list = min(entry.attempts, failed.count) - 1
        guard failed.indices.contains(list) else { return }
        entry.due = now + configuration.retries[list]
        failed[list].append(entry)
        countFailed(1, of: entry.event.caller)
    }

    /// From 100 % to 120 %: never sooner than was asked for.
    private static func jittered(_ pause: TimeAmount, _ random: Double) -> TimeAmount {
        pause + .nanoseconds(Int64(Double(pause.nanoseconds) * 0.2 * random))
    }
}
