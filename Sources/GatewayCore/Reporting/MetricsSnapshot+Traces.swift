/// Spans, and what becomes of them.
extension MetricsSnapshot {
    package struct Traces: Sendable {
        package var statistics: TraceStatistics
        /// Traces that have not been exported yet.
        package var queued: Int

        package init(statistics: TraceStatistics, queued: Int) {
            self.statistics = statistics
            self.queued = queued
        }
    }

    func renderTraces(to page: inout MetricsPage) {
        guard let traces else { return }
        page.family(.spans)
        for ending in TraceStatistics.Ending.allCases {
            page.sample(.spans, [("result", ending.rawValue)], traces.statistics.spans[ending] ?? 0)
        }
        page.family(.spanExportFailures)
        for reason in TraceStatistics.FailureReason.allCases {
            page.sample(.spanExportFailures, [("reason", reason.rawValue)], traces.statistics.failures[reason] ?? 0)
        }
        page.family(.tracesQueued)
        page.sample(.tracesQueued, [], traces.queued)
    }
}
