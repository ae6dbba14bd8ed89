/// What machines are told.
extension MetricsSnapshot {
    func renderEvents(to page: inout MetricsPage) {
        guard let (statistics, queued) = events else { return }
        page.family(.events)
        for kind in GatewayEvent.Kind.allCases {
            for ending in EventStatistics.Ending.allCases {
                page.sample(
                    .events, [("type", kind.rawValue), ("result", ending.rawValue)], statistics.count(kind, ending))
            }
        }
        page.family(.eventFailures)
        for reason in EventStatistics.FailureReason.allCases {
            page.sample(.eventFailures, [("reason", reason.rawValue)], statistics.failures[reason] ?? 0)
        }
        page.family(.eventsQueued)
        page.sample(.eventsQueued, [], queued)
    }
}
