/// What became of events; for metrics.
package struct EventStatistics: Equatable, Sendable {
    /// How an event ended; a label of the metrics.
    package enum Ending: String, CaseIterable, Sendable {
        case delivered
        /// There were too many: it gave way to a newer one.
        case overflow
        /// It could not be delivered for too long.
        case expired
        /// The configuration names no receiver any more, or the process ended.
        case discarded
    }

    /// Why an attempt to deliver failed; a label of the metrics.
    package enum FailureReason: String, CaseIterable, Sendable {
        /// The receiver does not want this event: another status than 2xx, 408, 425, 429 and 5xx.
        case rejected
        /// The receiver is in trouble: one of those.
        case error
        case timeout
        case unreachable
    }

    private struct Series: Hashable {
        var kind: GatewayEvent.Kind
        var ending: Ending
    }

    private var counts: [Series: Int] = [:]
    package var failures: [FailureReason: Int] = [:]

    package init() {}

    package func count(_ kind: GatewayEvent.Kind, _ ending: Ending) -> Int {
        counts[Series(kind: kind, ending: ending)] ?? 0
    }

    package var discarded: Int {
        GatewayEvent.Kind.allCases.reduce(0) { $0 + count($1, .discarded) }
    }

    package mutating func ended(_ kind: GatewayEvent.Kind, _ ending: Ending) {
        counts[Series(kind: kind, ending: ending), default: 0] += 1
    }
}
