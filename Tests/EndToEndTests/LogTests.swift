import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// What the gateway writes of itself and of traces.
@Suite(.serialized) struct LogTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"

    private struct Line: Decodable {
        var time: String
        var level: String
        var message: String
    }

    @Test func `a trace goes on into the access log, the audit log and the exemplars of OpenMetrics`() async throws {
        let configuration = "eventLoops: 1\naccessLog: {file: access.log}\naudit: {file: audit.log}"
        try await TestBed.run(configuration: configuration) { bed in
            let fields = [
                "Gateway-Region": "NA", "traceparent": "00-\(Self.trace)-b7ad6b7169203331-01",
                "X-Request-Id": #"our"1"#,
            ]
            #expect(try await bed.send("NA-1", fields).status == 202)
            // What is no trace is no reason to refuse a message.
            #expect(try await bed.send("NA-1", ["Gateway-Region": "NA", "traceparent": "nonsense"]).status == 202)

            let openMetrics = try await TestBed.transfer(
                "GET", bed.adminURL + "/metrics", "", ["Accept": "application/openmetrics-text; version=1.0.0"])
            let exemplars = openMetrics.text.split(separator: "\n").filter { $0.contains(" # {") }
            // Each duration that the message has.
            let families = [
                #"skillgate_message_duration_seconds_bucket{region="NA",source="upstream",le=""#,
                #"skillgate_upstream_duration_seconds_bucket{region="NA",status="202",le=""#,
                #"skillgate_upstream_queue_seconds_bucket{region="NA",le=""#,
            ]
            #expect(exemplars.count == families.count, "\(exemplars)")
            for family in families {
                let exemplar = exemplars.first { $0.hasPrefix(family) }
                #expect(
                    exemplar?.contains(##" # {trace_id="\##(Self.trace)",request_id="our\"1"} 0."##) == true,
                    "\(family)")
            }
            let text = try await TestBed.transfer("GET", bed.adminURL + "/metrics").text
            #expect(!text.contains(Self.trace))

            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
            for name in ["access.log", "audit.log"] {
                let log = try String(contentsOf: bed.folder.appendingPathComponent(name), encoding: .utf8)
                let members = #""traceID":"\#(Self.trace)","parentID":"b7ad6b7169203331""#
                #expect(log.split(separator: "\n").map { $0.contains(members) } == [true, false], "\(name)")
            }
        }
    }

    @Test func `of accepted messages one in so many has a line, of others each, and a reload changes that`()
        async throws
    {
        let configuration = "eventLoops: 1\naccessLog: {file: access.log, acceptedPerLine: 10}"
        try await TestBed.run(configuration: configuration) { bed in
            for _ in 0..<25 { #expect(try await bed.send("NA-1").status == 202) }
            for _ in 0..<3 { #expect(try await bed.send("GONE-1").status == 404) }
            try await bed.change("acceptedPerLine: 10", to: "acceptedPerLine: 1")
            for _ in 0..<5 { #expect(try await bed.send("NA-1").status == 202) }
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
            let log = try String(contentsOf: bed.folder.appendingPathComponent("access.log"), encoding: .utf8)
            let lines = log.split(separator: "\n")
            #expect(lines.filter { $0.contains(#""status":202"#) && $0.contains(#""standsFor":10"#) }.count == 2)
            #expect(lines.filter { $0.contains(#""status":202"#) && !$0.contains("standsFor") }.count == 5)
            #expect(lines.filter { $0.contains(#""status":404"#) }.count == 3)
        }
    }

    @Test func `each line is an object of JSON, and a reload changes from which level on there are lines`() async throws
    {
        try await TestBed.run(configuration: "eventLoops: 1\nlog: {level: notice}") { bed in
            try await bed.change("level: notice", to: "level: error")
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
            let lines = try await bed.gateway.output().split(separator: "\n").map {
                try JSONDecoder().decode(Line.self, from: Data($0.utf8))
            }
            #expect(
                lines.map(\.message).sorted() == [
                    "admin listening",
                    "idempotency records are in memory: a restart forgets them, and retries are sent again",
                    "listening",
                ])
            #expect(lines.allSatisfy { $0.level == "notice" && $0.time.hasSuffix("Z") })
        }
    }

    @Test func `on a terminal, lines are for people`() async throws {
        // script(1) gives it a terminal.
        let simulate = try RunningProcess(
            "/usr/bin/script", ["-qec", "exec \(RunningProcess.skillgate) simulate --listen 127.0.0.1:0", "/dev/null"])
        defer { simulate.signal(SIGKILL) }
        let line = try await simulate.line(with: "listening")
        #expect(line.contains("notice skillgate.simulator: simulator.listener=127.0.0.1:"))
    }
}
