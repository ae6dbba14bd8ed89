import Foundation
import Testing

@testable import GatewayCore

@Suite struct MetricsPageTests {
    private func page(_ format: MetricsPage.Format) -> String {
        var page = MetricsPage(format)
        page.family(.upstreamAttempts)
        page.sample(.upstreamAttempts, [("region", "NA"), ("reason", "a\"b\\c\nd")], 3)
        var histogram = Histogram(bounds: [0.5, 1])
        for value in [0.25, 0.5, 0.75, 4] { histogram.observe(value) }
        page.family(.tokenFetchDuration)
        page.histogram(.tokenFetchDuration, [], histogram)
        return page.finished()
    }

    @Test func `the text format of Prometheus`() {
        #expect(
            page(.prometheus) == #"""
                # HELP skillgate_upstream_attempts_total Writes of a message to a connection, by reason, including connections found dead.
                # TYPE skillgate_upstream_attempts_total counter
                skillgate_upstream_attempts_total{region="NA",reason="a\"b\\c\nd"} 3
                # HELP skillgate_token_fetch_duration_seconds Duration of requests to the token endpoint.
                # TYPE skillgate_token_fetch_duration_seconds histogram
                skillgate_token_fetch_duration_seconds_bucket{le="0.5"} 2
                skillgate_token_fetch_duration_seconds_bucket{le="1.0"} 3
                skillgate_token_fetch_duration_seconds_bucket{le="+Inf"} 4
                skillgate_token_fetch_duration_seconds_sum 5.5
                skillgate_token_fetch_duration_seconds_count 4

                """#)
    }

    @Test func `OpenMetrics names a counter's family without its suffix, tells units, and ends`() {
        let text = page(.openMetrics)
        #expect(text.contains("\n# UNIT skillgate_token_fetch_duration_seconds seconds\n"))
        #expect(text.components(separatedBy: "# UNIT").count == 2)
        #expect(text.contains("# TYPE skillgate_upstream_attempts counter\nskillgate_upstream_attempts_total{"))
        #expect(text.hasSuffix("# EOF\n"))
        #expect(
            MetricsPage.Format(accept: "application/openmetrics-text;version=1.0.0,text/plain;q=0.5") == .openMetrics)
        #expect(MetricsPage.Format(accept: nil) == .prometheus)
    }

    @Test func `what a store keeps is shown: how long, how many, and whether it can be reached`() {
        var snapshot = MetricsSnapshot(
            callers: [], skills: [], build: .init(version: "v", revision: "r", swift: "s"))
        #expect(!snapshot.render(.prometheus).contains("skillgate_idempotency_retention_seconds"))
        snapshot.retention = .seconds(60)
        snapshot.records = .init(sending: 1, unknown: 2, accepted: 3, expired: 4, evicted: 5)
        #expect(snapshot.render(.prometheus).contains("\nskillgate_idempotency_retention_seconds 60.0\n"))
        snapshot.records?.evictedEarlyBy = .seconds(20)
        snapshot.sharedStore = .init(.redis, isUp: true)
        snapshot.sharedStore?.settings = [("persistence", false)]
        let page = snapshot.render(.prometheus)
        for line in [
            "skillgate_idempotency_retention_seconds 40.0", "skillgate_idempotency_records{state=\"unknown\"} 2",
            "skillgate_idempotency_evictions_total{reason=\"full\"} 5", "skillgate_idempotency_store_up 1",
            "skillgate_idempotency_store_setting_ok{setting=\"persistence\"} 0",
            "skillgate_idempotency_begins_total{store=\"memory\",outcome=\"owned\"} 0",
            "skillgate_idempotency_begins_total{store=\"redis\",outcome=\"store_unavailable\"} 0",
        ] {
            #expect(page.contains("\n\(line)\n"), "\(line)")
        }
    }
}
