/// What became of spans; for metrics.
package struct TraceStatistics: Equatable, Sendable {
    /// How a span ended; a label of the metrics.
    package enum Ending: String, CaseIterable, Sendable {
        case exported
        /// There were too many: it gave way to a newer one.
        case overflow
        /// The collector did not take it in any of several attempts.
        case undelivered
        /// The collector does not want it.
        case rejected
        /// The configuration names no collector any more, or the process ended.
        case discarded
    }

    /// Why an attempt to export failed; a label of the metrics.
    package enum FailureReason: String, CaseIterable, Sendable {
        /// Another status than 2xx, 429, 502, 503 and 504: the collector does not want these spans.
        case rejected
        /// One of those: the collector is in trouble.
        case error
        case timeout
        case unreachable
    }

    package var spans: [Ending: Int] = [:]
    package var failures: [FailureReason: Int] = [:]

    package init() {}
}
