import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// What the operator and Amazon's SDK see.
@Suite(.serialized) struct OperatorTests {
    @Test func `promtool accepts the metrics`() async throws {
        try await TestBed.run { bed in
            #expect(try await bed.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": "k"]).status == 202)
            #expect(try await bed.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": "k"]).status == 202)
            #expect(try await bed.send("GONE-1").status == 404)
            #expect(try await bed.send("NA-1", key: "").status == 401)
            let page = try await TestBed.transfer("GET", bed.adminURL + "/metrics")
            #expect(page.field("Content-Type") == "text/plain; version=0.0.4; charset=utf-8")
            try TestBed.write(page.text, to: "metrics", in: bed.folder)
            let promtool = try RunningProcess(
                "/bin/sh", ["-c", "exec promtool check metrics --extended < \(bed.folder.path)/metrics"])
            let complaints = await promtool.output()
            #expect(await promtool.exitStatus() == 0, "\(complaints)")
            for line in [
                #"skillgate_messages_total{caller="orders",skill="weather",region="NA",status="202",source="upstream"} 1"#,
                #"skillgate_messages_total{caller="orders",skill="weather",region="NA",status="202",source="replay"} 1"#,
                #"skillgate_messages_total{caller="orders",skill="weather",region="NA",status="404",source="upstream"} 1"#,
                #"skillgate_messages_total{caller="none",skill="none",region="none",status="401",source="gateway"} 1"#,
                #"skillgate_token_fetches_total{skill="weather",result="success"} 1"#,
                #"skillgate_idempotency_begins_total{store="memory",outcome="owned"} 1"#,
                #"skillgate_idempotency_begins_total{store="memory",outcome="accepted"} 1"#,
                #"skillgate_idempotency_records{state="accepted"} 1"#,
                #"skillgate_rejected_total{reason="not-authenticated"} 1"#,
                "skillgate_messages_in_flight 0",
            ] {
                #expect(page.text.contains("\n\(line)\n"), "\(line)")
            }
            for secret in [TestBed.apiKey, "simulator-secret", "Atc|", "amzn1.ask.account"] {
                #expect(!page.text.contains(secret))
                #expect(!bed.gateway.log.contains(secret))
            }
        }
    }

    @Test func `probes and version`() async throws {
        try await TestBed.run { bed in
            #expect(try await bed.send("NA-1").status == 202)
            #expect(try await TestBed.transfer("GET", bed.adminURL + "/livez").status == 200)
            let ready = try await TestBed.transfer("GET", bed.adminURL + "/readyz")
            #expect(ready.status == 200)
            #expect(ready.text.contains(#""ready":true"#))
            let version = try await TestBed.transfer("GET", bed.adminURL + "/version")
            #expect(version.text.contains(#""version":"#) && version.text.contains(#""revision":"#))
        }
    }

    @Test(
        arguments: [
            ("{}", 0, 202), (#"{"NA": {"status": 400}}"#, 3, 400), (#"{"NA": {"status": 403}}"#, 3, 403),
            (#"{"NA": {"status": 404}}"#, 3, 404), (#"{"NA": {"status": 429}}"#, 3, 429),
            (#"{"NA": {"status": 500}}"#, 3, 500), (#"{"NA": {"status": 400, "body": "html"}}"#, 3, 400),
            (#"{"NA": {"status": 403, "body": "empty"}}"#, 3, 403),
            (#"{"NA": {"status": 404, "body": "html"}}"#, 3, 404),
            (#"{"NA": {"status": 429, "body": "empty"}}"#, 3, 429),
            (#"{"NA": {"status": 500, "body": "html"}}"#, 3, 500),
        ] as [(String, Int32, Int)])
    func `Amazon's Python SDK understands every answer`(faults: String, exit: Int32, status: Int) async throws {
        try await TestBed.run { bed in
            try await bed.setFaults(faults)
            let sdk = try RunningProcess.python(
                "send_message.py",
                environment: ["BASE_URL": bed.url, "API_KEY": TestBed.apiKey, "USER_ID": "amzn1.ask.account.NA-1"])
            let said = try await sdk.line(with: "status")
            #expect(said == "status \(status)")
            #expect(await sdk.exitStatus() == exit)
        }
    }

    @Test func `check reports five mistakes with line and column, and exits 64`() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("skillgate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("five.yaml").path
        try Data(
            """
            listeners: [{address: here}]
            admin: {adress: 127.0.0.1:9090}
            skills:
              - {name: weather, clientID: x, clientSecret: {file: missing}, defaultRegion: MARS}
            callers:
              - {name: orders, apiKeys: [{sha256: abc}], skills: [weather]}
            """.utf8
        ).write(to: URL(fileURLWithPath: file))
        let check = try RunningProcess(RunningProcess.skillgate, ["check", "--config", file])
        #expect(await check.exitStatus() == 64)
        // In the order in which they stand in the file, and nothing else.
        for (place, text) in [
            ("1:23", "`address` is `here`; expected an address"),
            ("2:9", "unknown member `adress` in `admin`; did you mean `address`?"),
            ("4:55", "cannot read"), ("4:80", "`defaultRegion` is `MARS`; expected `NA`, `EU` or `FE`"),
            ("6:39", "`sha256` is not valid; expected 64 hexadecimal digits"),
        ] {
            let line = try await check.line(with: "\(file):\(place): ")
            #expect(line.contains(text), "\(line)")
        }
        #expect(check.log.split(separator: "\n").count == 5)
    }

    @Test func `the demo keeps its promises`() async throws {
        let demo = try RunningProcess(RunningProcess.skillgate, ["demo"])
        #expect(await demo.exitStatus() == 0)
        #expect(try await demo.line(with: "checks passed").hasPrefix("All "))
    }
}
