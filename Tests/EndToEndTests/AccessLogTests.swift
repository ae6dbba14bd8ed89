import Foundation
import TestSupport
import Testing
import TokenEndpointClient

@Suite(.serialized) struct AccessLogTests {
    private struct Line: Decodable {
        var time: String
        var caller: String?
        var skill: String?
        var region: String?
        var status: Int
        var source: String
        var sends: Int?
        var durationMilliseconds: Double?
        var requestID: String?
        var problem: String?
    }

    @Test func `every message has its line when the gateway has ended, and nothing in it is a secret`() async throws {
        try await TestBed.run(configuration: "eventLoops: 1\naccessLog: {file: access.log}") { bed in
            let fields = ["Gateway-Region": "NA", "Idempotency-Key": "canary-key"]
            let first = try await bed.send("NA-canary-user", fields)
            #expect(first.status == 202)
            #expect(try await bed.send("NA-canary-user", fields).status == 202)
            #expect(try await bed.send("GONE-canary-user", ["Gateway-Region": "NA"]).status == 404)
            #expect(try await bed.send("NA-canary-user", key: "canary-api-key").status == 401)
            #expect(try await TestBed.transfer("GET", bed.url + "/canary-path").status == 404)
            let metrics = try await TestBed.transfer("GET", bed.adminURL + "/metrics").text
            #expect(metrics.contains("\nskillgate_log_lines_dropped_total{log=\"access\"} 0\n"))
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
            let text = try String(contentsOf: bed.folder.appendingPathComponent("access.log"), encoding: .utf8)
            let lines = try text.split(separator: "\n").map {
                try JSONDecoder().decode(Line.self, from: Data($0.utf8))
            }
            try #require(lines.map(\.status) == [202, 202, 404, 401, 404])
            #expect(lines.map(\.source) == ["upstream", "replay", "upstream", "gateway", "gateway"])
            #expect(lines.map(\.sends) == [1, 0, 1, 0, nil])
            #expect(lines.map(\.problem) == [nil, nil, nil, "not-authenticated", "not-found"])
            #expect(lines.map(\.caller) == ["orders", "orders", "orders", nil, nil])
            #expect(lines.map(\.region) == ["NA", "NA", "NA", nil, nil])
            #expect(lines[0].requestID == first.field("X-Amzn-RequestId"))
            #expect(lines[0].requestID == lines[1].requestID)
            #expect(!text.contains("canary"))
        }
    }

    @Test func `logs that were renamed are reopened on SIGUSR1`() async throws {
        let configuration = "eventLoops: 1\naccessLog: {file: access.log}\naudit: {file: audit.log}"
        try await TestBed.run(configuration: configuration) { bed in
            #expect(try await bed.send("NA-1").status == 202)
            for name in ["access", "audit"] {
                let path = bed.folder.appendingPathComponent("\(name).log").path
                try await bed.until("a line in it") { FileManager.default.contents(atPath: path)?.isEmpty == false }
                try FileManager.default.moveItem(atPath: path, toPath: path + ".1")
            }
            bed.gateway.signal(SIGUSR1)
            _ = try await bed.gateway.line(with: "log files reopened")
            #expect(try await bed.send("NA-2").status == 202)
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
            for name in ["access.log", "access.log.1", "audit.log", "audit.log.1"] {
                let text = try String(contentsOf: bed.folder.appendingPathComponent(name), encoding: .utf8)
                #expect(text.split(separator: "\n").count == 1, "\(name)")
            }
        }
    }

    @Test func `each answer has an id, and one search finds what the logs have of it`() async throws {
        let configuration = "eventLoops: 1\naccessLog: {file: access.log}\naudit: {file: audit.log}"
        try await TestBed.run(configuration: configuration, skills: 1) { bed in
            let authorization = ["Authorization": "Bearer \(TestBed.apiKey)", "Gateway-Region": "NA"]
            let user = "/v1/skillmessages/users/amzn1.ask.account.NA-1"
            let requests: [(id: String, method: String, path: String, content: String, fields: [String: String])] = [
                // First: another 404 of the gateway's to this address would be counted with it.
                ("nowhere", "GET", "/nowhere", "", [:]),
                ("sent", "POST", user, #"{"data":{}}"#, authorization),
                (
                    "refused-by-amazon", "POST", user + "X", #"{"data":{}}"#,
                    authorization.merging(["Gateway-Region": "EU"]) { $1 }
                ),
                ("invalid", "POST", user, "{}", authorization), ("stranger", "POST", user, #"{"data":{}}"#, [:]),
                ("asked", "GET", "/v1/idempotency-keys/k", "", authorization),
                ("settled", "PUT", "/v1/idempotency-keys/k", #"{"state":"accepted"}"#, authorization),
                (
                    "checked", "POST", user, #"{"data":{}}"#,
                    authorization.merging(["Gateway-Validate-Only": "?1"]) { $1 }
                ),
                (
                    "stated", "PUT", "/v1/users/u/region", #"{"apiEndpoint":"https://api.eu.amazonalexa.com"}"#,
                    authorization
                ),
                ("wrong-method", "GET", user, "", authorization),
            ]
            for request in requests {
                let answer = try await TestBed.transfer(
                    request.method, bed.url + request.path, request.content,
                    request.fields.merging(["X-Request-Id": "id-of-\(request.id)"]) { $1 })
                #expect(answer.field("X-Request-Id") == "id-of-\(request.id)", "\(request)")
            }
            for page in ["/livez", "/metrics", "/readyz", "/nowhere"] {
                let answer = try await TestBed.transfer("GET", bed.adminURL + page)
                #expect(answer.field("X-Request-Id")?.count == 24, "\(page)")
            }
            for (head, status) in [
                ("GET / HTTP/1.1\r\n\r\n", 400),
                ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413),
            ] {
                let answer = try await RawConnection.with(port: bed.port) { try await $0.exchange(head) }
                #expect(answer?.status == status && answer?.field("X-Request-Id")?.count == 24)
            }
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
            func lines(_ name: String, _ id: String, with text: String = "") throws -> Int {
                try String(contentsOf: bed.folder.appendingPathComponent(name), encoding: .utf8).split(separator: "\n")
                    .count { $0.contains(#""id":"id-of-\#(id)""#) && (text.isEmpty || $0.contains(text)) }
            }
            for id in ["sent", "refused-by-amazon", "invalid", "stranger"] {
                #expect(try lines("access.log", id) == 1 && lines("audit.log", id) == 1, "\(id)")
            }
            for (id, action) in [
                ("asked", "inquiry"), ("stated", "user-region"), ("settled", "settlement"), ("checked", "validation"),
            ] { #expect(try lines("audit.log", id, with: #""action":"\#(action)""#) == 1, "\(id)") }
            for id in ["nowhere", "wrong-method"] { #expect(try lines("access.log", id) == 1, "\(id)") }
        }
    }

    @Test func `a log that cannot be written is named before anything starts`() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("skillgate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("skillgate.yaml")
        try Data("accessLog: {file: missing/access.log}\n".utf8).write(to: file)
        let check = try RunningProcess(RunningProcess.skillgate, ["check", "--config", file.path])
        #expect(await check.exitStatus() == 64)
        let output = await check.output()
        #expect(output.contains("skillgate.yaml:1:19: `file`: cannot write"))
        #expect(output.contains("missing/access.log: No such file or directory"))
    }
}
