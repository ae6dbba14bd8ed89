import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// What neighbours, strangers and a bad day do to a gateway, and what the others notice of it.
@Suite(.serialized) struct HostilityTests {
    // MARK: Clients

    @Test func `refusals do not flood the logs`() async throws {
        let logs = "accessLog: {file: access.log}\naudit: {file: audit.log}"
        try await TestBed.run(configuration: logs) { bed in
            let request = String(repeating: bed.request(user: "NA-1", authorization: nil), count: 50)
            for _ in 0..<40 {
                try await RawConnection.with(port: bed.port) { connection in
                    try await connection.send(request)
                    for _ in 0..<50 { _ = try await connection.answer() }
                }
            }
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
            for name in ["access.log", "audit.log"] {
                let text = try String(contentsOf: bed.folder.appendingPathComponent(name), encoding: .utf8)
                // Two for each event loop and problem (401, and 429 for too many attempts), in each of few windows.
                #expect((1...32).contains(text.split(separator: "\n").count), "\(text.prefix(2000))")
                #expect(text.contains(#""more":"#) && text.contains("127.0.0.1"))
            }
        }
    }

    @Test func `a gateway with few descriptors serves its operators and its callers beside idle connections`()
        async throws
    {
        try await TestBed.run { bed in
            let yaml = bed.folder.path + "/skillgate.yaml"
            let gateway = try RunningProcess(
                "/bin/sh", ["-c", "ulimit -n 128; exec \"$0\" serve --config \"$1\"", RunningProcess.skillgate, yaml])
            defer { gateway.signal(SIGKILL) }
            let port = try await gateway.port("gateway.listener")
            let admin = "http://127.0.0.1:\(try await gateway.port("gateway.admin"))"
            let sockets = (0..<300).compactMap { _ in try? LoopbackSocket(connectedTo: port, from: "127.0.0.2") }
            defer { for socket in sockets { socket.close() } }
            for _ in 0..<20 { #expect(try await TestBed.transfer("GET", admin + "/livez").status == 200) }
            let answer = try await TestBed.transfer(
                "POST", "http://127.0.0.1:\(port)/v1/skillmessages/users/amzn1.ask.account.NA-1", #"{"data":{}}"#,
                [
                    "Authorization": "Bearer \(TestBed.apiKey)", "Gateway-Region": "NA",
                    "Content-Type": "application/json",
                ])
            #expect(answer.status == 202)
        }
    }

    @Test func `no web page can use the anonymous caller`() async throws {
        try await TestBed.run(configuration: "anonymousCaller: {skills: [weather]}") { bed in
            func status(host: String = "localhost", _ fields: String) async throws -> Int? {
                let request = bed.request(user: "NA-1", authorization: nil, fields: fields)
                    .replacingOccurrences(of: "Host: gateway", with: "Host: \(host)")
                return try await RawConnection.with(port: bed.port) { try await $0.exchange(request) }?.status
            }
            let json = "Content-Type: application/json\r\n"
            for host in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.8.8.8:1", "[::1]:8080", "a.localhost"] {
                #expect(try await status(host: host, json) == 202, "\(host)")
            }
            #expect(try await status("content-type: Application/JSON; charset=utf-8\r\n") == 202)
            #expect(try await status(json + "Sec-Fetch-Site: none\r\n") == 202)
            for fields in [
                "", "Content-Type: text/plain\r\n", "Content-Type: application/json+x\r\n",
                json + "Origin: https://evil.example\r\n", json + "Origin: null\r\n",
                json + "Sec-Fetch-Site: cross-site\r\n", json + "Sec-Fetch-Site: same-site\r\n",
            ] {
                #expect(try await status(fields) == 403, "\(fields)")
            }
            for host in ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil.example", "127.0.0.01"] {
                #expect(try await status(host: host, json) == 403, "\(host)")
            }
            #expect(try await bed.counters().received == 8)
            // Whoever has a key is no page.
            let keyed = try await RawConnection.with(port: bed.port) {
                try await $0.exchange(bed.request(user: "NA-1"))
            }
            #expect(keyed?.status == 202)
        }
    }

    @Test func `the admin listener answers to no foreign name, and is bounded like the others`() async throws {
        try await TestBed.run(environment: ["SKILLGATE_DRAIN_TIMEOUT": "1s"]) { bed in
            let port = try #require(Int(bed.adminURL.split(separator: ":").last ?? ""))
            func exchange(_ text: String) async throws -> RawConnection.Response? {
                try await RawConnection.with(port: port) { try await $0.exchange(text) }
            }
            let page = try await exchange("GET /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            #expect(page?.status == 200 && page?.field("X-Content-Type-Options") == "nosniff")
            #expect(try await exchange("GET /api/status HTTP/1.1\r\nHost: evil.example\r\n\r\n")?.status == 403)
            // As HAProxy's `option httpchk GET /readyz` sends it.
            #expect(try await exchange("GET /readyz HTTP/1.0\r\n\r\n")?.status == 200)
            #expect(
                try await exchange("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n")?.status
                    == 413)
            #expect(
                try await exchange("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")?.status
                    == 405)
            #expect(try await exchange("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")?.status == 400)
            let nowhere = try await exchange("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(nowhere?.status == 404 && nowhere?.field("X-Content-Type-Options") == "nosniff")
            // Half a head is not waited for, and one who does not read keeps nobody.
            #expect(try await exchange("GET / HTTP/1.1\r\nHo")?.status == 408)
            let socket = try LoopbackSocket(connectedTo: port)
            defer { socket.close() }
            let request = String(repeating: "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", count: 1000)
            _ = socket.writeUntilClosed(request, atMost: .seconds(1))
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
        }
    }

    @Test func `a connection ends with the authorities that its certificate was verified by`() async throws {
        let port = try FreePort.find()
        try await TestBed.run(
            listeners: "[{address: 127.0.0.1:0}, {address: 127.0.0.1:\(port), "
                + "tls: {certificateChainFile: server.pem, privateKeyFile: server-key.pem, clientCAFile: clients.pem}}]",
            callers: "  - {name: partner, certificate: {dns: partner.example.org}, skills: [weather]}",
            prepare: { folder in
                try await Certificate.makeAuthority(in: folder)
                try await Certificate.issue("server", for: "DNS:localhost", in: folder)
                try await Certificate.issue("partner", for: "DNS:Partner.example.org", in: folder)
                try FileManager.default.copyItem(
                    at: folder.appendingPathComponent("ca.pem"), to: folder.appendingPathComponent("clients.pem"))
            }
        ) { bed in
            let way = try RawConnection.Way.tls(port: port, trusting: bed.folder, certificate: "partner")
            let other = bed.folder.appendingPathComponent("other")
            try FileManager.default.createDirectory(at: other, withIntermediateDirectories: true)
            try await Certificate.makeAuthority(in: other)
            let authority = try String(contentsOf: other.appendingPathComponent("ca.pem"), encoding: .utf8)
            let request = bed.request(user: "NA-1", authorization: nil)
            let (first, next) = try await RawConnection.with(way) { connection in
                let first = try await connection.exchange(request)
                try bed.replace("clients.pem", with: authority)
                return (first, try await connection.answer())
            }
            #expect(first?.status == 202)
            #expect(next == nil)
            let again = try? await RawConnection.with(way) { try await $0.exchange(request) }
            #expect(again?.status == nil)
        }
    }

    @Test(arguments: ["NA-1%2Fx", "NA-1%2fx", "NA-1%5Cx", "NA-1%5cx", "NA-1\\x"])
    func `a userId that some servers would read as a path is refused`(user: String) async throws {
        try await TestBed.run { bed in
            let answer = try await RawConnection.with(port: bed.port) { try await $0.exchange(bed.request(user: user)) }
            #expect(answer?.status == 400 && answer?.content.contains("user-id-invalid") == true)
            #expect(try await bed.counters().received == 0)
        }
    }

    // MARK: Token endpoints

    @Test func `no variable makes a secret go to a proxy in clear`() async throws {
        let proxy = try CuttingServer()
        defer { proxy.stop() }
        let url = "http://127.0.0.1:\(proxy.port)"
        let environment = ["http_proxy": url, "HTTP_PROXY": url, "ALL_PROXY": url, "all_proxy": url]
        try await TestBed.run(environment: environment) { bed in
            let answer = try await bed.send("NA-1")
            #expect(answer.status == 202)
            #expect(proxy.requests == 0)
        }
    }

    @Test func `a token endpoint that hangs for forty skills holds up nothing else`() async throws {
        let server = try CuttingServer()
        defer { server.stop() }
        server.cut(.silence)
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("skillgate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try TestBed.write("secret-canary", to: "secret", in: folder)
        try TestBed.write(TestBed.apiKey, to: "key", in: folder)
        let skills = (0..<40).map { "  - {name: skill-\($0), clientID: c\($0), clientSecret: {file: secret}}" }
        let yaml = """
            listeners: [{address: 127.0.0.1:0}]
            admin: {address: 127.0.0.1:0}
            tokenEndpoint: http://127.0.0.1:\(server.port)
            skills:
            \(skills.joined(separator: "\n"))
            callers: [{name: orders, apiKeys: [{file: key}], skills: [skill-0]}]
            drain: {notice: 0s}
            """
        try TestBed.write(yaml, to: "skillgate.yaml", in: folder)
        let gateway = try RunningProcess(
            RunningProcess.skillgate, ["serve", "--config", folder.path + "/skillgate.yaml"])
        defer { gateway.signal(SIGKILL) }
        let port = try await gateway.port("gateway.listener")
        let admin = "http://127.0.0.1:\(try await gateway.port("gateway.admin"))"
        // All of them ask, at once.
        for _ in 0..<20_000 where server.requests < 40 { _ = try await TestBed.transfer("GET", admin + "/livez") }
        #expect(server.requests == 40)
        #expect(try await TestBed.transfer("GET", admin + "/readyz").status == 503)
        let answer = try await TestBed.transfer(
            "POST", "http://127.0.0.1:\(port)/v1/skillmessages/users/u", #"{"data":{}}"#,
            ["Authorization": "Bearer \(TestBed.apiKey)", "Gateway-Region": "NA"])
        #expect(answer.status == 503 && answer.text.contains("token-unavailable"))
        #expect(answer.field("Retry-After") != nil)
        gateway.signal(SIGTERM)
        #expect(await gateway.exitStatus() == 0)
    }

    @Test func `one skill without a token keeps no other from being served`() async throws {
        let lostKey = "lost-canary-0123456789abcdef"
        try await TestBed.run { bed in
            let yaml = try String(contentsOf: bed.folder.appendingPathComponent("skillgate.yaml"), encoding: .utf8)
            let more = yaml.replacingOccurrences(
                of: "\nskills:\n", with: "\nskills:\n  - {name: lost, clientID: nobody, clientSecret: {file: secret}}\n"
            ).replacingOccurrences(
                of: "\ncallers:\n", with: "\ncallers:\n  - {name: loser, apiKeys: [{file: lost-key}], skills: [lost]}\n"
            )
            try TestBed.write(lostKey, to: "lost-key", in: bed.folder)
            try TestBed.write(more, to: "skillgate.yaml", in: bed.folder)
            try await bed.withReplica { replica in
                try await replica.untilMetric(
                    #"skillgate_token_fetches_total{skill="lost",result="invalid_client"}"#, is: 1)
                #expect(try await replica.send("NA-1").status == 202)
                let readiness = try await TestBed.transfer("GET", replica.adminURL + "/readyz")
                #expect(readiness.status == 200)
                #expect(readiness.text.contains(#""degraded":true"#) && readiness.text.contains(#""ready":true"#))
                let refused = try await replica.send("NA-1", key: lostKey)
                #expect(refused.status == 503 && refused.text.contains("token-unavailable"))
            }
        }
    }

    // MARK: Files

    @Test func `a secret that blocks is refused, and neither reloads nor the end wait for it`() async throws {
        try await TestBed.run { bed in
            let key = bed.folder.path + "/key"
            #expect(unlink(key) == 0 && mkfifo(key, 0o600) == 0)
            try await bed.until("a reload") { try await bed.reloads("failure") > 0 }
            _ = try await bed.gateway.line(with: "it is not a regular file")
            #expect(try await bed.send("NA-1").status == 202)
            #expect(unlink(key) == 0)
            try TestBed.write("another-canary-0123456789", to: "key", in: bed.folder)
            try await bed.until("a reload") { try await bed.reloads("success") > 0 }
            #expect(try await bed.send("NA-1", key: "another-canary-0123456789").status == 202)
            #expect(unlink(key) == 0 && mkfifo(key, 0o600) == 0)
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
            let check = try RunningProcess(
                RunningProcess.skillgate, ["check", "--config", bed.folder.path + "/skillgate.yaml"])
            #expect(await check.exitStatus() == 64)
        }
    }

    @Test func `of many changes, however quick, the last is in force in the end`() async throws {
        try await TestBed.run { bed in
            for number in 0..<40 {
                try bed.replace("key", with: "rapid-canary-0123456789-\(number)")
                if number % 5 == 0 { bed.gateway.signal(SIGHUP) }
                _ = try await TestBed.transfer("GET", bed.adminURL + "/readyz")
            }
            var status = 0
            for _ in 0..<5_000 where status != 202 {
                status = try await bed.send("NA-1", key: "rapid-canary-0123456789-39").status
            }
            #expect(status == 202)
        }
    }

    @Test func `a configuration that never ends is refused by check, and by a running gateway`() async throws {
        try await TestBed.run { bed in
            let yaml = try String(contentsOf: bed.folder.appendingPathComponent("skillgate.yaml"), encoding: .utf8)
            var chain = "a0: &a0 [x]\n"
            for number in 1..<47_700 { chain += "a\(number): &a\(number) [*a\(number - 1)]\n" }
            var laughs = "? &l0 [x, x, x, x, x, x, x, x, x, x]\n: 0\n"
            for level in 1..<10 {
                laughs +=
                    "? &l\(level) [" + Array(repeating: "*l\(level - 1)", count: 10).joined(separator: ", ")
                    + "]\n: 0\n"
            }
            for hostile in [chain, laughs, String(repeating: "[", count: 100_000)] {
                try await bed.load(yaml + "\n" + hostile, result: "failure")
                #expect(try await bed.send("NA-1").status == 202)
            }
            let check = try RunningProcess(
                RunningProcess.skillgate, ["check", "--config", bed.folder.path + "/skillgate.yaml"])
            #expect(await check.exitStatus() == 64)
        }
    }
}
