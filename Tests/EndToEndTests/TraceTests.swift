import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// Traces, exported to a collector that reads them with OpenTelemetry's own protocol buffers.
@Suite(.serialized) struct TraceTests {
    private struct Batch: Decodable {
        var path: String
        var status: Int
        var authorization: String
        var resource: [String: String]
        var traces: [Trace]
    }

    private struct Trace: Decodable {
        var id: String
        /// As people read it.
        var text: String
        var spans: Int
        /// The span of the request, that of its caller, and those of its attempts.
        var root: String
        var parent: String
        var sends: [String]
        var links: [String]
    }

    private static func batches(_ collector: RunningProcess) throws -> [Batch] {
        // The last line may still be on its way; it is empty behind a whole one.
        let lines = collector.log.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        return try lines.filter { $0.hasPrefix(#"{"resource""#) }.map {
            try JSONDecoder().decode(Batch.self, from: Data($0.utf8))
        }
    }

    /// Those that the collector has taken.
    private static func traces(_ collector: RunningProcess) throws -> [Trace] {
        try batches(collector).filter { $0.status == 200 }.flatMap(\.traces)
    }

    private static func trace(_ number: Int, _ collector: RunningProcess, _ bed: TestBed) async throws -> Trace {
        var trace: Trace?
        try await bed.until("trace \(number)") {
            trace = try traces(collector).first { $0.id == traceID(number) }
            return trace != nil
        }
        return try #require(trace)
    }

    private static func traceID(_ number: Int) -> String {
        String(repeating: "0", count: 31) + "\(number)"
    }

    /// Fields of a request that is part of a trace.
    private static func fields(
        _ number: Int, key: String? = nil, region: String? = "NA", isSampled: Bool = true
    ) -> [String: String] {
        var fields = ["traceparent": "00-\(traceID(number))-b7ad6b7169203331-0\(isSampled ? 1 : 0)"]
        fields["Gateway-Region"] = region
        fields["Idempotency-Key"] = key
        return fields
    }

    private static func expect(
        _ trace: Trace, equals name: String, location: SourceLocation = #_sourceLocation
    ) throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "Traces/\(name).txt")
        let expected = try? String(contentsOf: file, encoding: .utf8)
        #expect(trace.text + "\n" == expected, "\(name): \(trace.text)", sourceLocation: location)
    }

    private static func run(
        _ options: String = "", configuration: String = "", tls: Bool = false,
        receiptMember: String? = nil, _ body: (TestBed, _ collector: RunningProcess, _ url: String) async throws -> Void
    ) async throws {
        let collector = try RunningProcess.python("collector.py")
        defer { collector.signal(SIGKILL) }
        let url = "http://127.0.0.1:\(try await collector.port("collector.listener"))"
        try await TestBed.run(
            configuration: """
                eventLoops: 1
                traces: {url: \(url)/v1/traces\(options)}
                \(configuration)
                """, tls: tls, skills: 1, receiptMember: receiptMember,
            prepare: { try TestBed.write("canary-signing-key-of-at-least-32-bytes", to: "receipts", in: $0) }
        ) { bed in
            try await body(bed, collector, url)
        }
    }

    @Test func `the trace of each kind of message is what its golden file says`() async throws {
        try await Self.run(
            configuration: "discovery: probe\nreceipts: {signingKeys: [{file: receipts}]}", receiptMember: "receipt"
        ) { bed, collector, _ in
            // First, and a replay.
            for number in [1, 2] {
                #expect(try await bed.send("NA-1", Self.fields(number, key: "k")).status == 202)
            }
            // A duplicate of a message in flight.
            try await bed.setFaults(#"{"NA": {"latencyMilliseconds": 500}}"#)
            async let first = bed.send("NA-2", Self.fields(3, key: "waited"))
            try await bed.untilMessagesInFlight(1)
            #expect(try await bed.send("NA-2", Self.fields(4, key: "waited")).status == 202)
            #expect(try await first.status == 202)
            // A token that is refused once.
            try await bed.setFaults(#"{"NA": {"status": 403, "count": 1}}"#)
            #expect(try await bed.send("NA-3", Self.fields(5, key: "healed")).status == 202)
            // A user that lives elsewhere.
            try await bed.setFaults("{}")
            #expect(try await bed.send("FE-1", Self.fields(6, key: "discovered", region: nil)).status == 202)
            // An answer that is lost.
            try await bed.setFaults(#"{"NA": {"connection": "resetAfterRead"}}"#)
            #expect(try await bed.send("NA-4", Self.fields(7, key: "unknown")).status == 504)
            // A report of the very first.
            let id = try #require(try await bed.acceptedMessages().first?.data["receipt"])
            let report = try await TestBed.transfer(
                "POST", bed.url + "/v1/receipts", #"{"id":"\#(id)"}"#, Self.fields(8, region: nil))
            #expect(report.status == 200)

            let names = ["first", "replay", "", "waited", "healed", "discovered", "unknown", "receipt"]
            for (index, name) in names.enumerated() where !name.isEmpty {
                let trace = try await Self.trace(index + 1, collector, bed)
                try Self.expect(trace, equals: name)
                #expect(trace.parent == "b7ad6b7169203331")
            }
            func link(to number: Int) async throws -> String {
                let trace = try await Self.trace(number, collector, bed)
                return "\(trace.id)-\(trace.root)"
            }
            #expect(try await Self.trace(2, collector, bed).links == [try await link(to: 1)])
            #expect(try await Self.trace(4, collector, bed).links == [try await link(to: 3)])
            #expect(try await Self.trace(8, collector, bed).links == [try await link(to: 1)])
            for trace in try Self.traces(collector) { TestBed.expectNoCanary(in: trace.text, of: "a trace") }
        }
    }

    @Test func `who samples decides, and nobody's requests have no traces`() async throws {
        try await Self.run(", ratio: 0") { bed, collector, _ in
            #expect(try await bed.send("NA-1", ["Gateway-Region": "NA"]).status == 202)
            #expect(try await bed.send("NA-1", Self.fields(1, isSampled: false)).status == 202)
            #expect(try await bed.send("NA-1", Self.fields(2), key: "wrong").status == 401)
            #expect(try await bed.send("NA-1", Self.fields(3)).status == 202)
            _ = try await Self.trace(3, collector, bed)
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
            #expect(try Self.traces(collector).map(\.id) == [Self.traceID(3)])
        }
    }

    @Test func `a process that ends exports what it has`() async throws {
        try await Self.run(configuration: "accessLog: {file: access.log}") { bed, collector, _ in
            #expect(try await bed.send("NA-1", ["Gateway-Region": "NA"]).status == 202)
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
            let trace = try #require(try Self.traces(collector).first)
            #expect(trace.parent.isEmpty && trace.spans == 4)
            let log = try String(contentsOf: bed.folder.appendingPathComponent("access.log"), encoding: .utf8)
            #expect(log.contains(#""traceID":"\#(trace.id)","spanID":"\#(trace.root)""#), "\(log)")
        }
    }

    @Test func `environment variables of OpenTelemetry are honoured, and the configuration wins`() async throws {
        let collector = try RunningProcess.python("collector.py")
        defer { collector.signal(SIGKILL) }
        let url = "http://127.0.0.1:\(try await collector.port("collector.listener"))"
        let environment = [
            "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic%20abc",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=a%20b,service.name=other",
            "OTEL_SERVICE_NAME": "from-environment", "OTEL_TRACES_SAMPLER": "always_on",
        ]
        for (options, service) in [("", "from-environment"), ("traces: {serviceName: from-file}", "from-file")] {
            try await TestBed.run(configuration: options, environment: environment) { bed in
                let number = options.isEmpty ? 1 : 2
                // Not by its caller's decision.
                #expect(try await bed.send("NA-1", Self.fields(number, isSampled: false)).status == 202)
                _ = try await Self.trace(number, collector, bed)
                let batch = try #require(try Self.batches(collector).last)
                #expect(batch.path == "/v1/traces")
                #expect(batch.authorization == "Basic abc")
                #expect(batch.resource["service.name"] == service)
                #expect(batch.resource["deployment.environment.name"] == "a b")
                #expect(batch.resource["service.instance.id"]?.count == 36)
            }
        }
        let warned = environment.merging(["OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"]) { $1 }
        try await TestBed.run(environment: warned) { bed in
            _ = try await bed.gateway.line(with: "the gateway speaks http/json")
            let metrics = try await TestBed.transfer("GET", bed.adminURL + "/metrics").text
            #expect(!metrics.contains("skillgate_spans_total"))
        }
    }

    @Test func `doctor tries the collector, and a reload takes another one`() async throws {
        let other = try RunningProcess.python("collector.py")
        defer { other.signal(SIGKILL) }
        let otherURL = "http://127.0.0.1:\(try await other.port("collector.listener"))/v1/traces"
        try await Self.run { bed, collector, url in
            func doctor() async throws -> String {
                let process = try RunningProcess(
                    RunningProcess.skillgate, ["doctor", "--config", bed.folder.path + "/skillgate.yaml"])
                return await process.output()
            }
            #expect(try await doctor().contains("asked at \(url)/v1/traces, status 200"))
            _ = try await TestBed.transfer("GET", "\(url)/status/404")
            #expect(try await doctor().contains("what answers status 404 to an empty export"))
            let file = bed.folder.appendingPathComponent("skillgate.yaml")
            let yaml = try String(contentsOf: file, encoding: .utf8)
            try bed.replace("skillgate.yaml", with: yaml.replacing("\(url)/v1/traces", with: otherURL))
            _ = try await bed.gateway.line(with: "configuration reloaded")
            #expect(try await bed.send("NA-1", Self.fields(1)).status == 202)
            _ = try await Self.trace(1, other, bed)
            #expect(try Self.batches(collector).allSatisfy { $0.traces.isEmpty })
        }
    }

    @Test func `a section of the configuration is no mistake where the environment wants no traces`() async throws {
        for variable in [
            ("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ] {
            let environment = ["OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", variable.0: variable.1]
            try await TestBed.run(configuration: "traces: {serviceName: x}", environment: environment) { bed in
                #expect(try await bed.send("NA-1", Self.fields(1)).status == 202)
                let metrics = try await TestBed.transfer("GET", bed.adminURL + "/metrics").text
                #expect(!metrics.contains("skillgate_spans_total"))
            }
        }
    }

    @Test func `requests to a region carry the trace where the configuration says so`() async throws {
        for http2 in ["off", "auto"] {
            try await Self.run(
                ", upstream: true, ratio: 0",
                configuration: "upstream: {trust: {caFile: cert.pem}, http2: '\(http2)'}", tls: true
            ) { bed, collector, _ in
                #expect(try await bed.send("NA-1", Self.fields(1)).status == 202)
                #expect(try await bed.send("NA-1", Self.fields(2, isSampled: false)).status == 202)
                #expect(try await bed.send("NA-1").status == 202)
                let trace = try await Self.trace(1, collector, bed)
                let received = try await bed.acceptedMessages().map(\.traceparent)
                #expect(
                    received == [
                        "00-\(trace.id)-\(try #require(trace.sends.first))-01",
                        "00-\(Self.traceID(2))-b7ad6b7169203331-00", nil,
                    ])
            }
        }
    }

    @Test func `a duplicate at another replica refers to its first`() async throws {
        let redis = try RedisProcess.plain()
        try await redis.start()
        defer { Task { await redis.stop() } }
        try await Self.run(
            configuration: "idempotency: {store: redis, redis: {url: 'redis://127.0.0.1:\(redis.port)'}}"
        ) { bed, collector, _ in
            try await bed.untilStore(isUp: true)
            #expect(try await bed.send("NA-1", Self.fields(1, key: "k")).status == 202)
            try await bed.withReplica { other in
                try await other.untilStore(isUp: true)
                #expect(try await other.send("NA-1", Self.fields(2, key: "k")).status == 202)
                let first = try await Self.trace(1, collector, bed)
                #expect(try await Self.trace(2, collector, bed).links == ["\(first.id)-\(first.root)"])
            }
        }
    }

    @Test func `a collector that fails costs messages nothing, and gets the batch again`() async throws {
        try await Self.run { bed, collector, url in
            _ = try await TestBed.transfer("GET", "\(url)/status/503")
            #expect(try await bed.send("NA-1", Self.fields(1)).status == 202)
            try await bed.untilMetric(#"skillgate_span_export_failures_total{reason="error"}"#, is: 1)
            _ = try await bed.gateway.line(with: "traces could not be exported")
            _ = try await TestBed.transfer("GET", "\(url)/status/200")
            _ = try await TestBed.transfer("GET", "\(url)/reject/1")
            try await bed.untilMetric(#"skillgate_spans_total{result="rejected"}"#, is: 1)
            try await bed.untilMetric(#"skillgate_spans_total{result="exported"}"#, is: 3)
            _ = try await bed.gateway.line(with: "a limit of the collector")
            // What it does not want is not sent again.
            _ = try await TestBed.transfer("GET", "\(url)/status/400")
            #expect(try await bed.send("NA-1", Self.fields(2)).status == 202)
            try await bed.untilMetric(#"skillgate_spans_total{result="rejected"}"#, is: 5)
            try await bed.untilMetric("skillgate_traces_queued", is: 0)
            // One that hangs.
            collector.signal(SIGSTOP)
            defer { collector.signal(SIGCONT) }
            for number in 0..<300 { #expect(try await bed.send("NA-\(number)", Self.fields(3)).status == 202) }
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
        }
    }
}
