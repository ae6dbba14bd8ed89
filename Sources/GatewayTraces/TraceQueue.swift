package import GatewayCore
package import NIOCore

/// Traces on their way to a collector, and when they are to be sent. Pure: times and chance are passed in.
///
/// Bounded; each caller's traces have a share of the room and a turn. Traces go in batches, one after the other. While the collector is
/// down, one batch is tried, with growing pauses; then it is given up, since what is newer is of more use.
package struct TraceQueue: Sendable {
    package struct Configuration: Sendable {
        /// Of traces that wait.
        package var limit = 8192
        package var batch = 256
        /// After the first trace of a batch that is not full.
        var longestWait = TimeAmount.seconds(1)
        /// Of one batch.
        var attempts = 5
        /// Between two attempts: doubled with each failure.
        var firstPause = TimeAmount.seconds(1)
        var longestPause = TimeAmount.seconds(30)
        /// The longest pause that a collector may ask for.
        var longestRetryAfter = Duration.seconds(300)

        package init() {}
    }

    /// Traces that go together.
    package struct Batch: Sendable {
        package let traces: [RequestTrace]
        package var spanCount: Int { traces.reduce(0) { $0 + $1.spanCount } }
        fileprivate var attempts = 0
        fileprivate let collector: Int
    }

    package enum Step: Sendable {
        case send(Batch)
        /// Nothing is to be sent before.
        case wait(until: NIODeadline)
        /// Nothing is to be sent before another trace comes, or an export ends.
        case idle
    }

    private let configuration: Configuration
    /// By caller; nil: a skill that reports messages.
    private var waiting = FairBuffer<String?, RequestTrace>()
    /// When the first of them came.
    private var firstCame: NIODeadline?
    /// One that has failed.
    private var failed: Batch?
    /// Traces that are being sent, and how many of them to collectors from before.
    private var sending: Int?
    private var sendingElsewhere = 0
    /// Counts up with each change of the collector.
    private var collector = 0
    private var failuresInARow = 0
    private var pausedUntil: NIODeadline?
    private var isFinal = false
    package private(set) var statistics = TraceStatistics()

    package init(_ configuration: Configuration = Configuration()) {
        self.configuration = configuration
    }

    package var isEmpty: Bool { waiting.isEmpty && failed == nil && sending == nil && sendingElsewhere == 0 }

    /// Traces that have not been exported yet.
    package var count: Int { waiting.count + (failed?.traces.count ?? 0) + (sending ?? 0) + sendingElsewhere }

    /// - Returns: how many traces lost their places.
    package mutating func add(_ traces: [RequestTrace], now: NIODeadline) -> Int {
        if waiting.isEmpty { firstCame = now }
        var displaced = 0
        for trace in traces {
            waiting.append(trace, of: trace.caller)
            guard waiting.count > configuration.limit, let lost = waiting.removeOldestOfLargest() else { continue }
            displaced += 1
            ended(lost.spanCount, .overflow)
        }
        return displaced
    }

    private mutating func ended(_ spans: Int, _ ending: TraceStatistics.Ending) {
        if spans > 0 { statistics.spans[ending, default: 0] += spans }
    }

    // MARK: The collector

    /// Traces go to another one from now on: nothing that the last one did counts for it.
    package mutating func collectorChanged() {
        collector += 1
        (failuresInARow, pausedUntil) = (0, nil)
        failed = failed.map { Batch(traces: $0.traces, collector: collector) }
        // It may take the old one as long as it likes.
        sendingElsewhere += sending ?? 0
        sending = nil
    }

    /// There is no collector any more, or no time.
    package mutating func discardAll() {
        collectorChanged()
        let left = waiting.removeAll { _ in true } + (failed?.traces ?? [])
        failed = nil
        ended(left.reduce(0) { $0 + $1.spanCount }, .discarded)
    }

    /// The process ends: each trace that is left gets one attempt, at once.
    package mutating func beginFinalAttempts() {
        isFinal = true
        pausedUntil = nil
    }

    // MARK: Exports

    package mutating func next(now: NIODeadline) -> Step {
        guard sending == nil, failed != nil || !waiting.isEmpty else { return .idle }
        if let pausedUntil, pausedUntil > now { return .wait(until: pausedUntil) }
        if let batch = failed {
            failed = nil
            return send(batch)
        }
        let due = (firstCame ?? now) + configuration.longestWait
        guard waiting.count >= configuration.batch || isFinal || due <= now else { return .wait(until: due) }
        var traces: [RequestTrace] = []
        while traces.count < configuration.batch, let trace = waiting.popFirst() { traces.append(trace) }
        // What is left has waited, too.
        if waiting.isEmpty { firstCame = nil }
        return send(Batch(traces: traces, collector: collector))
    }

    private mutating func send(_ batch: Batch) -> Step {
        var batch = batch
        batch.attempts += 1
        sending = batch.traces.count
        return .send(batch)
    }

    /// - Parameter rejected: spans that the collector did not take although it took the others.
    package mutating func exported(_ batch: Batch, rejected: Int) {
        sendingEnded(batch)
        let rejected = min(max(0, rejected), batch.spanCount)
        ended(batch.spanCount - rejected, .exported)
        ended(rejected, .rejected)
        if batch.collector == collector { (failuresInARow, pausedUntil) = (0, nil) }
    }

    private mutating func sendingEnded(_ batch: Batch) {
        if batch.collector == collector { sending = nil } else { sendingElsewhere -= batch.traces.count }
    }

    /// - Parameters:
    ///   - retryAfter: what the collector asked for; nil: nothing.
    ///   - random: from 0 up to 1, for jitter.
    package mutating func exportFailed(
        _ batch: Batch, _ reason: TraceStatistics.FailureReason, retryAfter: Duration?, random: Double, now: NIODeadline
    ) {
        sendingEnded(batch)
        statistics.failures[reason, default: 0] += 1
        if isFinal { return ended(batch.spanCount, .discarded) }
        if reason == .rejected { return ended(batch.spanCount, .rejected) }
        guard batch.collector == collector else {
            // Among those that wait, of which there may be too many by now.
            _ = add(batch.traces, now: now)
            return
        }
        failuresInARow += 1
        // The shift is bounded: the pause stops growing long before.
        let doubled = configuration.firstPause * (1 << min(failuresInARow - 1, 16))
        var pause = min(doubled, configuration.longestPause)
        if let retryAfter { pause = max(pause, TimeAmount(min(retryAfter, configuration.longestRetryAfter))) }
        // From 100 % to 120 %: never sooner than was asked for.
        pausedUntil = now + pause + .nanoseconds(Int64(Double(pause.nanoseconds) * 0.2 * random))
        guard batch.attempts < configuration.attempts else { return ended(batch.spanCount, .undelivered) }
        failed = batch
    }
}
