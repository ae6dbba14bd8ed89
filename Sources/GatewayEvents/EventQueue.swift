package import GatewayCore
package import NIOCore

/// Events on their way to a receiver, and when each is to be sent. Pure: times and chance are passed in.
///
/// Bounded; each caller's events, and the gateway's own, have a share of the room and a turn. While nothing gets through, one event at
/// a time is tried, with growing pauses.
package struct EventQueue: Sendable {
    package struct Configuration: Sendable {
        package var limit = 1_000
        /// Sent at once, while deliveries succeed.
        var concurrency = 4
        /// Between two attempts to deliver one event: the first pause, three times as long after each, up to the longest.
        var firstRetry = TimeAmount.seconds(5)
        var longestRetry = TimeAmount.minutes(15)
        /// Between two attempts of any event, when the last has failed: doubled with each failure.
        var firstPause = TimeAmount.seconds(1)
        var longestPause = TimeAmount.seconds(60)
        /// The longest pause that a receiver may ask for.
        var longestRetryAfter = Duration.seconds(3600)
        /// So many failures in a row are the receiver's, whatever the events.
        var failuresOfReceiver = 3
        /// An event is given up when it is so old.
        var lifetime = TimeAmount.hours(24)

        package init() {}
    }

    package struct Entry: Equatable, Sendable {
        package let event: GatewayEvent
        /// The same with each attempt.
        package let id: String
        let queued: NIODeadline
        fileprivate(set) var attempts = 0
        fileprivate var due: NIODeadline

        fileprivate init(_ event: GatewayEvent, id: String, now: NIODeadline) {
            (self.event, self.id, queued, due) = (event, id, now, now)
        }
    }

    package enum Step: Equatable, Sendable {
        case send(Entry)
        /// Nothing is to be sent before.
        case wait(until: NIODeadline)
        /// Nothing is to be sent before another event comes, or a delivery ends.
        case rest
    }

    private let configuration: Configuration
    /// Those that may be sent. By caller; nil: the gateway's own.
    private var ready: FairBuffer<String?, Entry>
    /// Those that have failed, until they are due.
    private var failed: FairBuffer<String?, Entry>
    private var sending = 0
    private var failuresInARow = 0
    private var pausedUntil: NIODeadline?
    package private(set) var statistics = EventStatistics()

    package init(_ configuration: Configuration = Configuration()) {
        self.configuration = configuration
        // Those that have been tried already give way to nobody's new ones but in their own half.
        ready = FairBuffer(limit: max(1, configuration.limit / 2))
        failed = FairBuffer(limit: max(1, configuration.limit / 2))
    }

    /// Those that have not been delivered yet.
    package var count: Int { ready.count + failed.count + sending }

    package mutating func add(_ event: GatewayEvent, id: String, now: NIODeadline) {
        put(Entry(event, id: id, now: now), in: \.ready)
    }

    private mutating func put(_ entry: Entry, in buffer: WritableKeyPath<Self, FairBuffer<String?, Entry>>) {
        let displaced = self[keyPath: buffer].append(entry, of: entry.event.caller)
        if let displaced { statistics.ended(displaced.event.kind, .overflow) }
    }

    /// Nobody wants them any more.
    package mutating func discardAll() {
        for entry in ready.removeAll(where: { _ in true }) + failed.removeAll(where: { _ in true }) {
            statistics.ended(entry.event.kind, .discarded)
        }
    }

    package mutating func next(now: NIODeadline) -> Step {
        for entry in failed.removeAll(where: { $0.due <= now }) { put(entry, in: \.ready) }
        // One at a time while it is not known whether any gets through.
        guard sending < (failuresInARow == 0 ? configuration.concurrency : 1) else { return .rest }
        if let pausedUntil, pausedUntil > now { return count > sending ? .wait(until: pausedUntil) : .rest }
        while var entry = ready.popFirst() {
            if now - entry.queued > configuration.lifetime {
                statistics.ended(entry.event.kind, .expired)
                continue
            }
            entry.attempts += 1
            sending += 1
            return .send(entry)
        }
        guard let due = failed.elements.map(\.due).min() else { return .rest }
        return .wait(until: due)
    }

    package mutating func delivered(_ entry: Entry, now: NIODeadline) {
        sending -= 1
        statistics.ended(entry.event.kind, .delivered)
        if failuresInARow >= configuration.failuresOfReceiver {
            // It was not for them that they failed.
            for var entry in failed.removeAll(where: { _ in true }) {
                entry.due = now
                put(entry, in: \.ready)
            }
        }
        (failuresInARow, pausedUntil) = (0, nil)
    }

    /// - Parameters:
    ///   - retryAfter: what the receiver asked for; nil: nothing.
    ///   - random: from 0 up to 1, for jitter.
    package mutating func deliveryFailed(
        _ entry: Entry, _ reason: EventStatistics.FailureReason, retryAfter: Duration?, random: Double, now: NIODeadline
    ) {
        sending -= 1
        statistics.failures[reason, default: 0] += 1
        failuresInARow += 1
        // The shift is bounded: the pause stops growing long before.
        var pause = min(
            configuration.firstPause * (1 << min(failuresInARow - 1, 16)), configuration.longestPause)
        if let retryAfter { pause = max(pause, TimeAmount(min(retryAfter, configuration.longestRetryAfter))) }
        pausedUntil = max(pausedUntil ?? now, now + Self.jittered(pause, random))
        var entry = entry
        // Bounded, too.
        let factor = (1..<max(1, min(entry.attempts, 16))).reduce(1) { factor, _ in factor * 3 }
        entry.due = now + Self.jittered(min(configuration.firstRetry * factor, configuration.longestRetry), random)
        put(entry, in: \.failed)
    }

    /// From 100 % to 120 %: never sooner than was asked for.
    private static func jittered(_ pause: TimeAmount, _ random: Double) -> TimeAmount {
        pause + .nanoseconds(Int64(Double(pause.nanoseconds) * 0.2 * random))
    }
}
