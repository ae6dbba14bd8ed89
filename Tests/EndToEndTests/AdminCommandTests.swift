import Foundation
import GatewayCore
import TestSupport
import Testing
import TokenEndpointClient

/// What an operator does to a running gateway, by `skillgate admin`.
@Suite(.serialized) struct AdminCommandTests {
    private func run(_ body: (TestBed, _ socket: String) async throws -> Void) async throws {
        // Short, since the path of a socket has to be.
        let socket = "/tmp/skillgate-admin-\(UUID().uuidString.prefix(8)).sock"
        try await TestBed.run(
            configuration: "audit: {file: audit.log}", admin: "{address: 127.0.0.1:0, socket: \(socket)}"
        ) { bed in
            try await body(bed, socket)
        }
        #expect(!FileManager.default.fileExists(atPath: socket) || unlink(socket) == 0)
    }

    private struct Outcome {
        var status: Int32
        var output: String
        var errors: String
    }

    private func admin(_ socket: String, _ arguments: String...) async throws -> Outcome {
        let process = try RunningProcess(RunningProcess.skillgate, ["admin"] + arguments + ["--socket", socket])
        let status = await process.exitStatus()
        return Outcome(status: status, output: await process.output(), errors: process.log)
    }

    @Test func `a paused skill, caller or region gets 503, and the others go on`() async throws {
        try await run { bed, socket in
            for (option, name) in [("--skill", "weather"), ("--caller", "orders"), ("--region", "NA")] {
                let paused = try await admin(socket, "pause", option, name)
                #expect(paused.status == 0 && paused.output.contains("paused: \(option.dropFirst(2)) \(name)"))
                let refused = try await bed.send("NA-1")
                #expect(refused.status == 503 && refused.field("Retry-After") == "30")
                #expect(refused.text.contains("urn:skillgate:problem:paused"))
                if option == "--region" {
                    #expect(try await bed.send("EU-1", ["Gateway-Region": "EU"]).status == 202)
                } else {
                    let fields = ["Gateway-Region": "EU", "Gateway-Skill": "news", "Idempotency-Key": name]
                    #expect(try await bed.send("EU-1", fields, key: TestBed.otherKey).status == 202)
                }
                let ready = try await TestBed.transfer("GET", bed.adminURL + "/readyz").text
                #expect(ready.contains("messages of \(option.dropFirst(2)) \(name) are paused by an operator"))
                let metrics = try await TestBed.transfer("GET", bed.adminURL + "/metrics").text
                #expect(metrics.contains("skillgate_paused{kind=\"\(option.dropFirst(2))\",name=\"\(name)\"} 1"))
                let resumed = try await admin(socket, "resume", option, name)
                #expect(resumed.status == 0 && resumed.output.contains("nothing is paused"))
                #expect(try await bed.send("NA-1").status == 202)
            }
            let audit = try String(contentsOf: bed.folder.appendingPathComponent("audit.log"), encoding: .utf8)
            #expect(audit.contains(#""action":"pause","decision":"allowed","subject":"skill weather""#))
            #expect(audit.contains(#""action":"resume","decision":"allowed","subject":"region NA""#))
        }
    }

    @Test func `what was sent before is answered all the same, and a pause outlives a reload`() async throws {
        try await run { bed, socket in
            let fields = ["Gateway-Region": "NA", "Idempotency-Key": "k"]
            #expect(try await bed.send("NA-1", fields).status == 202)
            _ = try await admin(socket, "pause", "--skill", "weather")
            let replay = try await bed.send("NA-1", fields)
            #expect(replay.status == 202 && replay.field("Idempotent-Replayed") == "true")
            try await bed.change("drain: {notice: 0s}", to: "drain: {notice: 0s}\nlog: {level: debug}")
            #expect(try await bed.send("NA-2").status == 503)
            _ = try await admin(socket, "resume", "--all")
            #expect(try await bed.send("NA-2").status == 202)
        }
    }

    @Test func `what waits is not sent either`() async throws {
        try await run { bed, socket in
            // The first is refused after a while, so that the one that waits for it would be sent then.
            try await bed.setFaults(#"{"NA": {"status": 429, "latencyMilliseconds": 1500, "count": 1}}"#)
            let fields = ["Gateway-Region": "NA", "Idempotency-Key": "k"]
            async let first = bed.send("NA-1", fields)
            try await bed.untilMetric(#"skillgate_upstream_attempts_total{region="NA",reason="first"}"#, is: 1)
            async let second = bed.send("NA-1", fields)
            try await bed.untilMetric("skillgate_messages_in_flight", is: 2)
            #expect(try await admin(socket, "pause", "--caller", "orders").status == 0)
            #expect(try await first.status == 429)
            let status = try await second.status
            #expect(status == 503 || status == 429)
            #expect(try await bed.counters().received == 1)
            _ = try await admin(socket, "resume", "--all")
            #expect(try await bed.send("NA-1", fields).status == 202)
        }
    }

    @Test func `the state is shown, the log level set, and the process drained`() async throws {
        try await run { bed, socket in
            let status = try await admin(socket, "status")
            #expect(status.status == 0 && status.output.contains(": ready"))
            #expect(try await admin(socket, "log-level", "debug").output.contains("the log level is debug"))
            _ = try await admin(socket, "pause", "--skill", "news")
            #expect(try await admin(socket, "status").output.contains(": degraded\nmessages of skill news are paused"))
            #expect(try await admin(socket, "drain").output.contains("draining"))
            #expect(await bed.gateway.exitStatus() == 0)
            let audit = try String(contentsOf: bed.folder.appendingPathComponent("audit.log"), encoding: .utf8)
            #expect(audit.contains(#""action":"drain""#))
        }
    }

    @Test func `mistakes are named, and nothing is done`() async throws {
        try await run { bed, socket in
            for (arguments, problem) in [
                (["pause", "--skill", "wether"], "there is no skill wether; expected one of weather, news"),
                (["pause", "--region", "eu"], "there is no region `eu`; expected NA, EU or FE"),
                (["resume", "--caller", "orders"], "caller orders is not paused"),
                (["log-level", "loud"], "expected `level`: trace, debug"),
                (["pause"], "expected one of --skill, --caller and --region"),
            ] {
                let process = try RunningProcess(
                    RunningProcess.skillgate, ["admin"] + arguments + ["--socket", socket])
                #expect(await process.exitStatus() == 64)
                #expect(process.log.contains(problem), "\(process.log)")
            }
            #expect(try await bed.send("NA-1").status == 202)
            let nobody = try await admin(socket + ".not", "status")
            #expect(nobody.status == 69 && nobody.errors.contains("cannot ask the gateway at \(socket).not"))
        }
    }

    @Test func `nobody else can, and nothing can be changed over TCP`() async throws {
        try await run { bed, socket in
            let mode = try FileManager.default.attributesOfItem(atPath: socket)[.posixPermissions] as? Int
            #expect(mode == 0o600)
            for path in ["pause", "resume", "drain", "log-level"] {
                let refused = try await TestBed.transfer(
                    "POST", "\(bed.adminURL)/api/\(path)", #"{"skill":"weather"}"#,
                    ["Content-Type": "application/json"])
                #expect(refused.status == 403)
                #expect(try await TestBed.transfer("GET", "\(bed.adminURL)/api/\(path)").status == 404)
            }
            #expect(try await bed.send("NA-1").status == 202)
        }
    }
}
