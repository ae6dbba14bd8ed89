import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// Every alert fires when its trouble is made: by the simulator's faults, on a real Redis, with a real Prometheus. The rules
/// are those that are shipped, with windows of seconds; their own windows are tested by `promtool test rules`.
@Suite(.serialized) struct AlertTests {
    /// What the tests below make fire; the last test holds it against the file.
    private static let messages = [
        "SkillgateUpstreamErrors", "SkillgateThrottled", "SkillgateForbidden", "SkillgateTokensRefused",
        "SkillgateCallersFail",
        "SkillgateTooManyInFlight", "SkillgateLatencyHigh", "SkillgateOutcomeUnknown", "SkillgateCircuitOpen",
        "SkillgateAvailabilityBurnsFast", "SkillgateAvailabilityBurnsSlowly", "SkillgateLatencyBurnsFast",
        "SkillgateLatencyBurnsSlowly",
    ]
    private static let processes = [
        "SkillgateCallersNotAuthenticated", "SkillgateRecordsEvicted", "SkillgateReloadFailed",
        "SkillgateLogLinesDropped", "SkillgateFileDescriptors", "SkillgateDown", "SkillgateRestarting",
        "SkillgateAbsent", "SkillgateCallerLimited", "SkillgateCertificateExpiring", "SkillgatePaused",
        "SkillgateEventsNotDelivered", "SkillgateTracesNotExported",
    ]
    private static let tokens = [
        "SkillgateTokenMissing", "SkillgateTokenFetchesFailing", "SkillgateTokenExpiring", "SkillgateIssuerKeysMissing",
    ]
    private static let stores = [
        "SkillgateStoreUnsafe", "SkillgateSettlementBacklog", "SkillgateStoreDown", "SkillgateStoreWiped",
        "SkillgateStoreHeld", "SkillgateStoreFull", "SkillgateRatesNotShared",
    ]
    /// A test does not set a machine's clock: what the gateway makes of one that jumps is in `ServerClocksTests`.
    /// And no message is overdue before two minutes: what is counted then is in `ReceiptTests`.
    private static let notHere = ["SkillgateStoreClockJumped", "SkillgateNotDelivered"]

    @Test func `all alerts are made to fire here`() throws {
        let rules = try ["alerts.yaml", "slo.yaml"].map {
            try String(contentsOf: PrometheusProcess.shipped.appendingPathComponent($0), encoding: .utf8)
        }.joined()
        let names = rules.matches(of: /- alert: (\w+)/).map { String($0.1) }
        #expect(names.count > 20)
        #expect(Set(names) == Set(Self.messages + Self.processes + Self.tokens + Self.stores + Self.notHere))
    }

    /// A gateway in which nothing is wrong yet, and a Prometheus that has seen it.
    private func with(
        _ configuration: String, faults: String? = nil, secret: String = "simulator-secret", window: String = "10s",
        prepare: (URL) async throws -> Void = { _ in }, _ body: (TestBed, PrometheusProcess) async throws -> Void
    ) async throws {
        try await TestBed.run(
            configuration: "eventLoops: 1\n" + configuration, secret: secret, faults: faults, prepare: prepare
        ) { bed in
            try await PrometheusProcess.run(scraping: [bed.adminAddress], window: window) { prometheus in
                try await prometheus.until("up == 1")
                try await body(bed, prometheus)
            }
        }
    }

    @Test func `what goes wrong with messages`() async throws {
        try await with("upstream: {maximumConnectionsPerRegion: 1, deadline: 4s}") { bed, prometheus in
            func firing(_ alert: String, _ region: String, _ fault: String) async throws {
                try await bed.setFaults("{\"\(region)\": \(fault)}")
                try await prometheus.untilFiring(alert) {
                    _ = try await bed.send("\(region)-1", ["Gateway-Region": region])
                }
            }
            // Nothing fires while all is well.
            try await prometheus.until("region:skillgate_messages:rate5m > 0") { _ = try await bed.send("NA-1") }
            #expect(try await prometheus.query("ALERTS").map(\.metric) == [])

            try await firing("SkillgateUpstreamErrors", "NA", #"{"status": 500}"#)
            try await prometheus.untilFiring("SkillgateCallersFail")
            try await firing("SkillgateThrottled", "EU", #"{"status": 429}"#)
            try await firing("SkillgateForbidden", "FE", #"{"status": 403}"#)
            try await bed.setFaults("{}")
            // The refusals above are over half a minute later only: another skill's tokens can be renewed at once.
            try await prometheus.untilFiring("SkillgateTokensRefused") {
                _ = try await bed.control("POST", "tokens/revoke")
                let fields = ["Gateway-Region": "EU", "Gateway-Skill": "news", "Idempotency-Key": UUID().uuidString]
                _ = try await bed.send("EU-1", fields, key: TestBed.otherKey)
            }
            try await bed.setFaults(#"{"NA": {"latencyMilliseconds": 600}}"#)
            try await prometheus.untilFiring("SkillgateTooManyInFlight") {
                async let one = bed.send("NA-1")
                async let two = bed.send("NA-1")
                _ = try await (one, two)
            }
            try await firing("SkillgateLatencyHigh", "EU", #"{"latencyMilliseconds": 2700}"#)
            try await firing("SkillgateLatencyBurnsFast", "EU", #"{"latencyMilliseconds": 2700}"#)
            try await prometheus.untilFiring("SkillgateLatencyBurnsSlowly")
            try await firing("SkillgateOutcomeUnknown", "NA", #"{"connection": "resetAfterRead"}"#)
            try await firing("SkillgateCircuitOpen", "NA", #"{"connection": "resetAfterRead"}"#)
            try await prometheus.untilFiring("SkillgateAvailabilityBurnsFast") { _ = try await bed.send("NA-1") }
            try await prometheus.untilFiring("SkillgateAvailabilityBurnsSlowly")
        }
    }

    @Test func `what goes wrong with the process`() async throws {
        let collector = try RunningProcess.python("collector.py")
        defer { collector.signal(SIGKILL) }
        let collectorURL = "http://127.0.0.1:\(try await collector.port("collector.listener"))"
        _ = try await TestBed.transfer("GET", "\(collectorURL)/status/404")
        let configuration = """
            accessLog: {file: /dev/full}
            idempotency: {memory: {maximumRecords: 1}}
            discovery: probe
            events: {url: http://127.0.0.1:1, secret: {file: events}}
            traces: {url: \(collectorURL)/v1/traces}
            """
        try await with(
            configuration,
            prepare: { try TestBed.write("whsec_Y2FuYXJ5LWV2ZW50cy1zZWNyZXQtMDEyMzQ1Njc=", to: "events", in: $0) }
        ) { bed, prometheus in
            _ = try await bed.send("GONE-1", [:])
            try await prometheus.untilFiring("SkillgateEventsNotDelivered")
            try await prometheus.untilFiring("SkillgateTracesNotExported") { _ = try await bed.send("NA-1") }
            try await prometheus.untilFiring("SkillgateCallersNotAuthenticated") {
                _ = try await bed.send("NA-1", key: "wrong-canary-0123456789")
            }
            try await prometheus.untilFiring("SkillgateRecordsEvicted") {
                _ = try await bed.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": UUID().uuidString])
            }
            try await prometheus.untilFiring("SkillgateLogLinesDropped") { _ = try await bed.send("NA-1") }
            let file = bed.folder.appendingPathComponent("skillgate.yaml")
            let good = try String(contentsOf: file, encoding: .utf8)
            try await bed.load("nonsense: 1\n", result: "failure")
            try await prometheus.untilFiring("SkillgateReloadFailed")
            try await bed.load(good)
            let open = try #require(try await prometheus.query("process_open_fds").first).value.number
            let prlimit = try RunningProcess(
                "/usr/bin/prlimit", ["--pid", String(bed.gateway.processID), "--nofile=\(Int(open) + 4)"])
            #expect(await prlimit.exitStatus() == 0)
            try await prometheus.untilFiring("SkillgateFileDescriptors")
            bed.gateway.signal(SIGKILL)
            try await prometheus.untilFiring("SkillgateDown")

            for _ in 0..<4 {
                let next = try RunningProcess(
                    RunningProcess.skillgate, ["serve", "--config", file.path],
                    environment: ["SKILLGATE_ADMIN_ADDRESS": bed.adminAddress])
                defer { next.signal(SIGKILL) }
                try await prometheus.until("up == 1")
                next.signal(SIGKILL)
                try await prometheus.until("up == 0")
            }
            try await prometheus.untilFiring("SkillgateRestarting")
        }
    }

    @Test func `what goes wrong before anything does`() async throws {
        let tls = try FreePort.find()
        try await TestBed.run(
            listeners: """
                [{address: 127.0.0.1:0}, {address: 127.0.0.1:\(tls), tls: {certificateChainFile: server.pem, privateKeyFile: server-key.pem}}]
                """,
            callers:
                "  - {name: eager, apiKeys: [{file: eager-key}], skills: [weather], rate: {perSecond: 1, burst: 1}}",
            prepare: { folder in
                try TestBed.write("sgk_eager-0123456789abcdef", to: "eager-key", in: folder)
                try await Certificate.makeAuthority(in: folder)
                // Good for two days.
                try await Certificate.issue("server", for: "DNS:localhost", in: folder)
            }
        ) { bed in
            try await PrometheusProcess.run(scraping: [bed.adminAddress]) { prometheus in
                try await prometheus.untilFiring("SkillgateCertificateExpiring")
                try await prometheus.untilFiring("SkillgateCallerLimited") {
                    _ = try await bed.send("NA-1", key: "sgk_eager-0123456789abcdef")
                }
            }
        }
        try await PrometheusProcess.run(scraping: []) { prometheus in
            try await prometheus.untilFiring("SkillgateAbsent")
        }
    }

    @Test func `what an operator has paused`() async throws {
        let socket = "/tmp/skillgate-admin-\(UUID().uuidString.prefix(8)).sock"
        try await TestBed.run(admin: "{address: 127.0.0.1:0, socket: \(socket)}") { bed in
            try await PrometheusProcess.run(scraping: [bed.adminAddress]) { prometheus in
                try await prometheus.until("up == 1")
                let pause = try RunningProcess(
                    RunningProcess.skillgate, ["admin", "pause", "--region", "EU", "--socket", socket])
                #expect(await pause.exitStatus() == 0)
                try await prometheus.untilFiring("SkillgatePaused")
            }
        }
    }

    @Test func `what goes wrong with tokens`() async throws {
        try await with("", secret: "wrong-canary") { _, prometheus in
            try await prometheus.untilFiring("SkillgateTokenMissing")
        }
        // Fetches are tried again after pauses that grow.
        try await with("", faults: #"{"token": {"status": 500}}"#, window: "20s") { _, prometheus in
            try await prometheus.untilFiring("SkillgateTokenFetchesFailing")
        }
        let issuer = """
            issuers:
              - {name: nowhere, issuer: 'https://issuer.example', jwks: 'http://127.0.0.1:1/keys', audiences: [skillgate]}
            """
        try await with(issuer) { _, prometheus in try await prometheus.untilFiring("SkillgateIssuerKeysMissing") }
        try await with("", faults: #"{"tokenLifetimeSeconds": 300}"#) { _, prometheus in
            try await prometheus.untilFiring("SkillgateTokenExpiring")
        }
    }

    @Test func `what goes wrong with the store`() async throws {
        let redis = try RedisProcess.plain()
        try await redis.start()
        do {
            let configuration = """
                anonymousCaller: {skills: [weather], rate: {perSecond: 100, scope: deployment}}
                idempotency: {store: redis, redis: {url: "redis://127.0.0.1:\(redis.port)"}}
                """
            try await with(configuration) { bed, prometheus in
                try await bed.untilStore(isUp: true)
                try await prometheus.untilFiring("SkillgateStoreUnsafe")
                // As loud on the page and for probes.
                for path in ["/api/status", "/readyz"] {
                    let text = try await TestBed.transfer("GET", bed.adminURL + path).text
                    #expect(text.contains(#""state":"degraded""#) && text.contains("can lose records"))
                }
                // The store stands still between the claim and the answer.
                try await bed.setFaults(#"{"NA": {"latencyMilliseconds": 300}}"#)
                async let message = bed.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": "k"])
                try await bed.untilMetric(
                    #"skillgate_upstream_attempts_total{region="NA",reason="first"}"#, is: 1)
                await redis.stall()
                try await prometheus.untilFiring("SkillgateSettlementBacklog")
                await redis.resume()
                _ = try await message
                await redis.kill()
                try await prometheus.untilFiring("SkillgateStoreDown")
                try await prometheus.untilFiring("SkillgateRatesNotShared") {
                    _ = try await bed.send("NA-1", key: "")
                }
                try await redis.start()
                try await prometheus.untilFiring("SkillgateStoreWiped")
                try redis.command("CONFIG", "SET", "maxmemory", "1")
                var number = 0
                try await prometheus.untilFiring("SkillgateStoreFull") {
                    number += 1
                    _ = try await bed.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": "full-\(number)"])
                }
            }
            try redis.command("CONFIG", "SET", "maxmemory", "0")
            try redis.command("FLUSHALL")
            // A first start that nobody has vouched for.
            let held = configuration.replacingOccurrences(of: "redis: {", with: "redis: {onStoreWiped: hold, ")
            try await with(held) { bed, prometheus in
                try await prometheus.untilFiring("SkillgateStoreHeld")
                let ready = try await TestBed.transfer("GET", bed.adminURL + "/readyz")
                #expect(ready.text.contains(#""state":"degraded""#) && ready.text.contains("it has lost records"))
                let refused = try await bed.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": "k"])
                #expect(refused.status == 503)
                let adopt = try RunningProcess(
                    RunningProcess.skillgate,
                    ["records", "adopt", "--config", bed.folder.appendingPathComponent("skillgate.yaml").path])
                #expect(await adopt.exitStatus() == 0)
                try await bed.untilMetric("skillgate_idempotency_store_held", is: 0)
                let sent = try await bed.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": "k"])
                #expect(sent.status == 202)
            }
        } catch {
            await redis.stop()
            throw error
        }
        await redis.stop()
    }
}
