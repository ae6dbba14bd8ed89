import Foundation
import TestSupport
import Testing

/// `skillgate doctor` names the cause in its first line.
@Suite(.serialized) struct DoctorTests {
    /// A configuration whose parts the test may spoil.
    private struct Parts {
        var base: String
        var secret = "simulator-secret"
        var tokenEndpoint: String?
        var regions: [String: String] = [:]
        var more = ""

        func yaml(secretFile: String) -> String {
            let regions = ["NA", "EU", "FE"].map {
                "\($0): {apiEndpoint: \"\(self.regions[$0] ?? "\(base)/\($0.lowercased())")\"}"
            }.joined(separator: ", ")
            return """
                regions: {\(regions)}
                tokenEndpoint: "\(tokenEndpoint ?? "\(base)/auth/o2/token")"
                skills: [{name: weather, clientID: amzn1.application-oa2-client.simulator, clientSecret: {file: \(secretFile)}}]
                callers: [{name: orders, apiKeys: [{file: \(secretFile)}], skills: [weather]}]
                \(more)
                """
        }
    }

    private func examine(
        _ bed: TestBed, _ change: (inout Parts) -> Void = { _ in }
    ) async throws -> (head: String, text: String, status: Int32) {
        var parts = Parts(base: bed.simulatorURL)
        change(&parts)
        let folder = bed.folder.appendingPathComponent("doctor-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try TestBed.write(parts.secret, to: "secret", in: folder)
        try TestBed.write(parts.yaml(secretFile: "secret"), to: "skillgate.yaml", in: folder)
        let doctor = try RunningProcess(
            RunningProcess.skillgate, ["doctor", "--config", folder.path + "/skillgate.yaml"])
        let text = await doctor.output()
        TestBed.expectNoCanary(in: text, of: "doctor")
        return (String(text.split(separator: "\n").first ?? ""), text, await doctor.exitStatus())
    }

    @Test func `where all is well it says so, with the time of each phase, and sends nothing`() async throws {
        try await TestBed.run { bed in
            let report = try await examine(bed)
            #expect(report.head == "healthy" && report.status == 0, "\(report.text)")
            #expect(
                report.text.contains("ok     skill weather: a token with `clientSecret`, valid for 3600 s; resolve "))
            #expect(report.text.contains("ok     region FE for skill weather: status 404 over HTTP/1.1; resolve "))
            #expect(report.text.contains("ok     clock: agrees with the token endpoint's"))
            #expect(try await bed.counters().accepted == 0)
        }
    }

    @Test func `each cause is named in the first line`() async throws {
        func issuer(_ url: String) -> String {
            "issuers: [{name: cluster, issuer: 'https://issuer.example', jwks: '\(url)', audiences: [skillgate]}]"
        }
        try await TestBed.run { bed in
            for (change, expected) in [
                ({ $0.secret = "wrong-canary-secret" }, "skill weather: its client id or secret is wrong"),
                (
                    { $0.regions["EU"] = "https://no-such-host.invalid" },
                    "region EU for skill weather: the host name of no-such-host.invalid cannot be resolved"
                ),
                (
                    { $0.regions["FE"] = $0.base + "/wrong" },
                    "region FE for skill weather: a wrong token gets 404 as well, and not 403: does this host serve"
                ),
                (
                    { $0.tokenEndpoint = "http://127.0.0.1:1/auth/o2/token" },
                    "token endpoint: nothing is listening at 127.0.0.1:1"
                ),
                (
                    { $0.more = "idempotency: {store: redis, redis: {url: 'redis://127.0.0.1:1'}}" },
                    "store: Redis at 127.0.0.1:1 cannot be used"
                ),
                (
                    { $0.more = issuer("http://127.0.0.1:1/keys") },
                    "issuer cluster: nothing is listening at 127.0.0.1:1"
                ),
                (
                    { $0.more = issuer($0.base + "/keys") },
                    "issuer cluster: its keys cannot be fetched: status 404"
                ),
            ] as [((inout Parts) -> Void, String)] {
                let report = try await examine(bed, change)
                #expect(report.head.hasPrefix("problem: \(expected)"), "\(report.text)")
                #expect(report.status == 69)
            }
            for (faults, expected) in [
                (#"{"token": {"status": 500}}"#, "skill weather: the token endpoint is failing (status 500)"),
                (#"{"token": {"status": 429}}"#, "skill weather: the token endpoint throttles"),
                (#"{"FE": {"status": 429}}"#, "region FE for skill weather: Amazon throttles (429)"),
                (
                    #"{"EU": {"status": 403}}"#,
                    "region EU for skill weather: a fresh token that other regions accept is refused here (403)"
                ),
                (
                    #"{"NA": {"status": 403}, "EU": {"status": 403}, "FE": {"status": 403}}"#,
                    "region NA for skill weather: a fresh token is refused in every region (403)"
                ),
                (#"{"NA": {"status": 500}}"#, "region NA for skill weather: the region is failing (status 500)"),
            ] {
                try await bed.setFaults(faults)
                let report = try await examine(bed)
                #expect(report.head.hasPrefix("problem: \(expected)"), "\(report.text)")
            }
        }
    }

    @Test func `a store that answers and cannot keep a record is found out`() async throws {
        let redis = try RedisProcess.durable()
        try await redis.start()
        do {
            try await TestBed.run { bed in
                func report(_ members: String = "") async throws -> (head: String, text: String, status: Int32) {
                    try await examine(bed) {
                        $0.more =
                            "idempotency: {store: redis, redis: {url: 'redis://127.0.0.1:\(redis.port)'\(members)}}"
                    }
                }
                let healthy = try await report()
                #expect(healthy.head == "healthy" && healthy.text.contains("trial record in Redis"), "\(healthy.text)")
                let lonely = try await report(", waitReplicas: 1")
                #expect(lonely.head.contains("fewer replicas confirm a record than `waitReplicas`"), "\(lonely.text)")
                try redis.command("CONFIG", "SET", "maxmemory", "1")
                let full = try await report()
                #expect(full.head.contains("it has no room for another record"), "\(full.text)")
                try redis.command("CONFIG", "SET", "maxmemory", "0")
                try redis.command("ACL", "SETUSER", "default", "-eval", "-evalsha")
                let forbidden = try await report()
                #expect(forbidden.head.contains("NOPERM"), "\(forbidden.text)")
                try redis.command("ACL", "SETUSER", "default", "+@all")
                try redis.command("FLUSHALL")
                let held = try await report(", onStoreWiped: hold")
                #expect(held.head.contains("skillgate records adopt"), "\(held.text)")
                #expect(try redis.command("KEYS", "*").contains("epoch"))
            }
        } catch {
            await redis.stop()
            throw error
        }
        await redis.stop()
    }

    @Test func `settings of Redis under which records may be lost are a problem`() async throws {
        // Redis's own defaults: snapshots now and then.
        let redis = try RedisProcess.plain()
        try await redis.start()
        do {
            try await TestBed.run { bed in
                let report = try await examine(bed) {
                    $0.more = "idempotency: {store: redis, redis: {url: 'redis://127.0.0.1:\(redis.port)'}}"
                }
                #expect(report.status == 69 && report.head.contains("records may be lost"), "\(report.text)")
                #expect(report.head.contains("persistence is no append-only file"), "\(report.text)")
            }
        } catch {
            await redis.stop()
            throw error
        }
        await redis.stop()
    }

    @Test func `a proxy that is not there is told from Amazon's endpoint behind it`() async throws {
        let closed = try FreePort.find()
        try await TestBed.run { bed in
            let report = try await examine(bed) {
                $0.tokenEndpoint = "https://api.amazon.com/auth/o2/token"
                $0.more = "upstream: {proxy: \"http://127.0.0.1:\(closed)\"}"
            }
            #expect(report.head.contains("nothing is listening at the proxy 127.0.0.1:\(closed)"), "\(report.text)")
        }
    }

    @Test func `a certificate that is not trusted is told from a host that is not there`() async throws {
        try await TestBed.run(tls: true) { bed in
            let report = try await examine(bed)
            #expect(
                report.head.hasPrefix("problem: token endpoint: no trusted TLS connection to localhost:"),
                "\(report.text)")
            #expect(report.head.contains("upstream.trust.caFile"))
        }
    }

    @Test(
        arguments: [
            (
                "Sun, 06 Nov 1994 08:49:37 GMT", #"{"access_token":"Atc|x","expires_in":3600}"#,
                "clock: this machine's clock is "
            ),
            (
                nil, #"{"access_token":"Atc|x","expires_in":3600,"scope":"profile"}"#,
                "skill weather: the scope alexa:skill_messaging is not granted to its client"
            ),
        ] as [(String?, String, String)])
    func `what only an answer of the token endpoint can tell`(date: String?, content: String, expected: String)
        async throws
    {
        let server = try CuttingServer()
        defer { server.stop() }
        let answer =
            "HTTP/1.1 200 OK\r\n\(date.map { "Date: \($0)\r\n" } ?? "")Content-Type: application/json\r\n"
            + "Content-Length: \(content.utf8.count)\r\nConnection: close\r\n\r\n\(content)"
        server.cut(.answer(answer, after: answer.utf8.count, byReset: false))
        try await TestBed.run { bed in
            let report = try await examine(bed) { $0.tokenEndpoint = "http://127.0.0.1:\(server.port)/auth/o2/token" }
            #expect(report.head.hasPrefix("problem: \(expected)"), "\(report.text)")
        }
    }
}
