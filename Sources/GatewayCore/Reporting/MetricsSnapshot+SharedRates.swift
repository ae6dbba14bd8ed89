/// The rates that count over all replicas.
extension MetricsSnapshot {
    static func render(_ statistics: SharedRates.Statistics, to page: inout MetricsPage) {
        page.family(.rateLeases)
        page.sample(.rateLeases, [("result", "success")], statistics.rates.leases)
        page.sample(.rateLeases, [("result", "failure")], statistics.rates.failures)
        page.family(.rateShareRequests)
        page.sample(.rateShareRequests, [], statistics.rates.byShare)
        guard let replicas = statistics.replicas else { return }
        page.family(.rateReplicas)
        page.sample(.rateReplicas, [], replicas)
    }
}
