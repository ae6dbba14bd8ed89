/// Events, and what becomes of them.
extension MetricsSnapshot {
    package struct Events: Sendable {
        package var statistics: EventStatistics
        package var queued: Int
        /// Since the oldest of those that wait was queued.
        package var oldestSeconds: Double

        package init(statistics: EventStatistics, queued: Int, oldestSeconds: Double) {
            self.statistics = statistics
            self.queued = queued
            self.oldestSeconds = oldestSeconds
        }
    }

    func renderEvents(to page: inout MetricsPage) {
        guard let events else { return }
        page.family(.events)
        for kind in GatewayEvent.Kind.allCases {
            for ending in EventStatistics.Ending.allCases {
                page.sample(
                    .events, [("type", kind.rawValue), ("result", ending.rawValue)],
                    events.statistics.count(kind, ending))
            }
        }
        page.family(.eventFailures)
        for reason in EventStatistics.FailureReason.allCases {
            page.sample(.eventFailures, [("reason", reason.rawValue)], events.statistics.failures[reason] ?? 0)
        }
        page.family(.eventsQueued)
        page.sample(.eventsQueued, [], events.queued)
        page.family(.eventsOldest)
        page.sample(.eventsOldest, [], events.oldestSeconds)
    }
}
