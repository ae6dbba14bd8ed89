import Foundation
import GatewayCore
import TestSupport
import Testing
import TokenEndpointClient

/// Rules, dashboard and page of the metrics, held against what a gateway really shows.
@Suite(.serialized) struct MonitoringTests {
    private static let root = PrometheusProcess.shipped.deletingLastPathComponent().deletingLastPathComponent()

    private static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    @Test(arguments: [
        ["check", "config", "prometheus.yaml"], ["check", "rules", "recording.yaml", "alerts.yaml", "slo.yaml"],
        ["test", "rules", "alerts.test.yaml", "slo.test.yaml"],
    ])
    func `promtool accepts what is shipped, and each alert is quiet before its trouble and fires behind it`(
        arguments: [String]
    ) async throws {
        let words = arguments.map { $0.hasSuffix(".yaml") ? "\(PrometheusProcess.shipped.path)/\($0)" : $0 }
        let promtool = try RunningProcess("/usr/bin/promtool", words)
        let output = await promtool.output()
        #expect(await promtool.exitStatus() == 0, "\(output)")
    }

    /// Names of metrics in a text: those of a scrape, not those that rules make of them.
    private static func names(in text: String) -> Set<String> {
        // A name with a colon is a recording rule's.
        Set(
            text.matches(of: /[a-z_:]*\b(?:skillgate|process)_[a-z0-9_:]+/).map { String($0.0) }
                .filter { !$0.contains(":") }
                .map { $0.replacing(/_(bucket|sum|count)$/, with: "") })
    }

    /// Names of the labels of each sample, without that of a histogram's buckets.
    private static func labels(of metric: String, in page: String) -> [[String]] {
        page.split(separator: "\n").compactMap { line in
            guard let sample = line.wholeMatch(of: /([a-z_]+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? [^ ]+/),
                sample.1 == metric || line.hasPrefix(metric + " ") || line.hasPrefix(metric + "{")
            else { return nil }
            return (sample.2 ?? "").matches(of: /(\w+)="/).map { String($0.1) }.filter { $0 != "le" }
        }
    }

    /// Two gateways that have all kinds of store between them, so that they show every metric there is.
    private func withEverything(_ body: (TestBed, TestBed) async throws -> Void) async throws {
        let redis = try RedisProcess.plain()
        try await redis.start()
        let keys = FileManager.default.temporaryDirectory.appendingPathComponent("keys-\(UUID().uuidString).json")
        try TestIssuer.keySet(TestIssuer()).write(to: keys)
        defer { try? FileManager.default.removeItem(at: keys) }
        let issuer = try RunningProcess.python("issuer.py", ["0", keys.path])
        defer { issuer.signal(SIGKILL) }
        do {
            let issuerPort = try await issuer.port("issuer")
            try await TestBed.run(
                configuration: """
                    accessLog: {file: access.log}
                    issuers:
                      - {name: cluster, issuer: 'https://issuer.example', jwks: 'http://127.0.0.1:\(issuerPort)/keys', audiences: [skillgate]}
                    receipts: {signingKeys: [{file: receipts}]}
                    events: {url: 'http://127.0.0.1:1/hook', secret: {file: events}}
                    traces: {url: 'http://127.0.0.1:1/v1/traces'}
                    idempotency:
                      store: redis
                      redis: {url: "redis://127.0.0.1:\(redis.port)", onStoreUnavailable: forward}
                    """,
                receiptMember: "receipt",
                listeners: """
                    [{address: 127.0.0.1:0}, {address: 127.0.0.1:0, tls: {certificateChainFile: cert.pem, privateKeyFile: key.pem}}]
                    """,
                callers:
                    """
                      - {name: new, apiKeys: [{file: new-key}], skills: [weather], rate: {perSecond: 1}, reportOnly: [rate]}
                      - {name: spread, apiKeys: [{file: spread-key}], skills: [weather], rate: {perSecond: 9, scope: deployment}}
                    """,
                prepare: {
                    try TestBed.write("new-canary-0123456789abcdef", to: "new-key", in: $0)
                    try TestBed.write("spread-canary-0123456789abcdef", to: "spread-key", in: $0)
                    try await Certificate.make(in: $0)
                    try TestBed.write("canary-signing-key-of-at-least-32-bytes", to: "receipts", in: $0)
                    try TestBed.write("whsec_Y2FuYXJ5LWV2ZW50cy1zZWNyZXQtMDEyMzQ1Njc=", to: "events", in: $0)
                }
            ) { bed in
                try await bed.untilStore(isUp: true)
                for region in ["NA", "EU", "FE"] {
                    let fields = ["Gateway-Region": region, "Idempotency-Key": "k-\(region)"]
                    for _ in 0..<2 { #expect(try await bed.send("\(region)-1", fields).status == 202) }
                }
                let yaml = try String(contentsOf: bed.folder.appendingPathComponent("skillgate.yaml"), encoding: .utf8)
                let stores = try #require(yaml.range(of: "idempotency:\n"))
                // What replicas share is shared by Redis alone.
                let others = yaml[..<stores.lowerBound].replacing(", scope: deployment", with: "")
                try bed.replace("files.yaml", with: others + "idempotency: {file: {directory: records}}")
                try await bed.withReplica(configuration: "files.yaml") { try await body(bed, $0) }
            }
        } catch {
            await redis.stop()
            throw error
        }
        await redis.stop()
    }

    @Test func `what is documented, asked for and shown are the same`() async throws {
        try await withEverything { bed, files in
            let page =
                try await TestBed.transfer("GET", bed.adminURL + "/metrics").text
                + TestBed.transfer("GET", files.adminURL + "/metrics").text
            let shown = Set(page.matches(of: /# TYPE (\S+)/).map { String($0.1) })
            #expect(shown.count > 30)
            #expect(shown == Set(Instrument.allCases.map(\.rawValue)))
            var samples = 0
            for instrument in Instrument.allCases {
                let row = instrument.row
                for labels in Self.labels(of: instrument.rawValue, in: page) {
                    #expect(labels == row.labels, "\(instrument.rawValue)")
                    samples += 1
                }
                let labels = row.labels.isEmpty ? "" : ": " + row.labels.map { "`\($0)`" }.joined(separator: " ")
                let documented = "| `\(instrument.rawValue)` | \(row.kind.rawValue)\(labels) |"
                #expect(try Self.text("Docs/Metrics.md").contains(documented))
            }
            #expect(samples > 100)
            #expect(Self.names(in: try Self.text("Docs/Metrics.md")) == shown)
            #expect(Self.names(in: try Self.text("Deploy/Grafana/dashboards/skillgate.json")) == shown)
            for path in ["alerts", "recording", "slo"].map({ "Deploy/Prometheus/\($0).yaml" }) + ["Docs/Operating.md"] {
                let unknown = Self.names(in: try Self.text(path)).subtracting(shown)
                #expect(unknown.isEmpty, "\(path)")
            }
            // Rules and pages name recording rules that exist.
            let recorded = Set(
                try ["recording.yaml", "alerts.yaml", "slo.yaml"].flatMap { file in
                    try Self.text("Deploy/Prometheus/\(file)").matches(of: /record: (\S+)/).map { String($0.1) }
                })
            let used = try ["alerts", "slo"].flatMap {
                try Self.text("Deploy/Prometheus/\($0).yaml").matches(of: /[a-z_]+:skillgate_[a-z_]+:[a-z0-9_]+/)
            }
            #expect(Set(used.map { String($0.0) }).isSubset(of: recorded))
        }
    }

    @Test func `each alert has an entry in the run book, and each entry an alert`() throws {
        let alerts = try Self.text("Deploy/Prometheus/alerts.yaml") + Self.text("Deploy/Prometheus/slo.yaml")
        let names = alerts.matches(of: /- alert: (\w+)/).map { String($0.1) }
        let entries = try Self.text("Docs/Operating.md").matches(of: /\n### (Skillgate\w+)/).map { String($0.1) }
        #expect(entries == names)
        let links = alerts.matches(of: /runbook_url: (\S+)/).map { String($0.1) }
        #expect(links == names.map { "https://runbooks.example.org/skillgate/Operating.md#\($0.lowercased())" })
    }

    @Test func `a real Prometheus scrapes the demo, and finds what the dashboard asks for`() async throws {
        let demo = try RunningProcess(RunningProcess.skillgate, ["demo", "--stay"])
        defer { demo.signal(SIGKILL) }
        let line = try await demo.line(with: "/metrics")
        let address = try #require(line.firstMatch(of: /http:\/\/(\S+)\/metrics/)?.1)
        try await PrometheusProcess.run(scraping: [String(address)]) { prometheus in
            try await prometheus.until("up == 1")
            let messages = try await prometheus.query("sum by (status) (skillgate_messages_total)")
            #expect(messages.contains { $0.metric == ["status": "202"] && $0.value.number > 0 })
        }
    }

    @Test func `each query of the dashboard and each recording rule finds something on a loaded gateway`() async throws
    {
        try await withEverything { bed, files in
            try await PrometheusProcess.run(scraping: [bed.adminAddress, files.adminAddress]) { prometheus in
                try await prometheus.until("region:skillgate_messages:rate5m > 0") { _ = try await bed.send("NA-1") }
                #expect(try await prometheus.query("up").map(\.value.number) == [1, 1])
                for record in try
                    (Self.text("Deploy/Prometheus/recording.yaml") + Self.text("Deploy/Prometheus/slo.yaml"))
                    .matches(of: /record: (\S+)/)
                {
                    try await prometheus.until(String(record.1))
                }
                let queries = try Self.dashboardQueries()
                #expect(queries.count > 35)
                for query in queries {
                    let found = try await prometheus.query(query)
                    // What is shown only when there is some of it may not be there.
                    #expect(!found.isEmpty || query.contains("> 0"), "\(query)")
                }
            }
        }
    }

    private static func dashboardQueries() throws -> [String] {
        struct Dashboard: Decodable {
            struct Panel: Decodable {
                struct Target: Decodable { var expr: String }
                var targets: [Target]?
            }
            var panels: [Panel]
        }
        let dashboard = try JSONDecoder().decode(
            Dashboard.self, from: Data(text("Deploy/Grafana/dashboards/skillgate.json").utf8))
        return dashboard.panels.flatMap { $0.targets ?? [] }.map { target in
            ["$__rate_interval": "10s", "$namespace": ".*", "$job": ".*", "$instance": ".*"].reduce(target.expr) {
                $0.replacingOccurrences(of: $1.key, with: $1.value)
            }
        }
    }
}
