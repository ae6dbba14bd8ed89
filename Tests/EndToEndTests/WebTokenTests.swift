import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// Callers that show JSON Web Tokens, whose issuer serves its keys over HTTP.
@Suite(.serialized) struct WebTokenTests {
    private static let subject = "system:serviceaccount:shop:shipping"
    private static let callers =
        "  - {name: shipping, token: {issuer: cluster, subject: '\(subject)'}, skills: [weather]}"

    private static func issuers(_ port: Int, _ more: String = "") -> String {
        """
        eventLoops: 2
        audit: {file: audit.log}
        issuers:
          - {name: cluster, issuer: 'https://issuer.example', jwks: 'http://127.0.0.1:\(port)/keys', audiences: [skillgate]\(more)}
        """
    }

    private func token(_ issuer: TestIssuer, _ others: [String: any Sendable] = [:]) throws -> String {
        try issuer.token(TestIssuer.claims(subject: Self.subject).merging(others) { $1 })
    }

    private func serve(_ port: Int, _ file: URL) async throws -> RunningProcess {
        let server = try RunningProcess.python("issuer.py", ["\(port)", file.path])
        _ = try await server.port("issuer")
        return server
    }

    /// A gateway, and an issuer whose keys are in the file `keys.json` of its folder.
    private func run(
        _ more: String = "", isUp: Bool = true, keys: TestIssuer...,
        body: (TestBed, _ serve: () async throws -> RunningProcess, _ server: RunningProcess?) async throws -> Void
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("issuer-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (file, port) = (folder.appendingPathComponent("keys.json"), try FreePort.find())
        try Self.publish(keys, in: file)
        let server = isUp ? try await serve(port, file) : nil
        defer { server?.signal(SIGKILL) }
        try await TestBed.run(
            configuration: Self.issuers(port, more), callers: Self.callers,
            prepare: { try TestBed.write("gateway-canary-token\n", to: "token", in: $0) }
        ) { bed in
            try FileManager.default.createSymbolicLink(
                at: bed.folder.appendingPathComponent("keys.json"), withDestinationURL: file)
            try await body(bed, { try await serve(port, file) }, server)
        }
    }

    private static func publish(_ keys: [TestIssuer], in file: URL) throws {
        let set = try JSONSerialization.data(withJSONObject: ["keys": keys.map { $0.webKey() }])
        try set.write(to: file.resolvingSymlinksInPath(), options: .atomic)
    }

    private func publish(_ keys: TestIssuer..., by bed: TestBed) throws {
        try Self.publish(keys, in: bed.folder.appendingPathComponent("keys.json"))
    }

    @Test func `a caller is known by its token, and each bad one gets the same answer`() async throws {
        let issuer = TestIssuer()
        try await run(", bearerTokenFile: token", keys: issuer) { bed, _, server in
            let accepted = try await bed.send("NA-1", key: token(issuer))
            #expect(accepted.status == 202)
            try await bed.until("the audit log tells of it") {
                let audit = try String(contentsOf: bed.folder.appendingPathComponent("audit.log"), encoding: .utf8)
                return audit.contains(#""caller":"shipping""#) && audit.contains(#""authentication":"jwt""#)
            }
            _ = try await server?.line(with: "Bearer gateway-canary-token")

            let unknownKey = try await bed.send("NA-1", key: "unknown-api-key-0123456789")
            let bad = try [
                token(issuer, ["sub": "system:serviceaccount:shop:other"]), token(issuer, ["aud": "elsewhere"]),
                token(issuer, ["exp": 1]), token(issuer, ["iss": "https://elsewhere.example"]), token(TestIssuer()),
                token(TestIssuer(keyID: "unknown")), issuer.token(TestIssuer.claims(), header: ["alg": "none"]),
                "a.b.c",
                String(repeating: "a", count: 6000) + ".b.c",
            ]
            for token in bad {
                let refused = try await bed.send("NA-1", key: token)
                #expect(refused.status == 401 && Self.told(refused) == Self.told(unknownKey), "\(token)")
            }
            #expect(try await bed.counters().accepted == 1)
        }
    }

    /// An answer without what is different in each.
    private static func told(_ response: HTTPTransfer.Response) -> [String] {
        let fields = response.fields.map { "\($0.name): \($0.value)" }.filter { !$0.hasPrefix("Date") }
        return (fields + [response.text]).map { $0.replacing(/[0-9A-Za-z]{10,}-[0-9]+|[0-9a-f]{16,}/, with: "ID") }
    }

    @Test func `keys are rotated under load without a refusal`() async throws {
        let issuers = (0..<4).map { TestIssuer(keyID: "key-\($0)") }
        try await run(keys: issuers[0]) { bed, _, server in
            var statuses: [Int] = []
            for (number, issuer) in issuers.enumerated() {
                // The key is published, and the first token with it is there at once.
                try publish(issuer, by: bed)
                let token = try token(issuer)
                statuses += try await withThrowingTaskGroup(of: Int.self) { group in
                    for index in 0..<50 {
                        group.addTask { try await bed.send("NA-\(number)-\(index)", key: token).status }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
            }
            #expect(statuses == Array(repeating: 202, count: 200))
            // Once for all who waited, and once at the start.
            let asked = server?.log.split(separator: "\n").filter { $0.contains("asked") }.count
            #expect(asked == issuers.count)
            // A token whose key has gone is accepted no longer, on connections that know it neither.
            let old = try await bed.send("NA-1", key: token(issuers[0]))
            #expect(old.status == 401)
        }
    }

    @Test func `an issuer that is down harms nobody whose key is known`() async throws {
        let (issuer, next) = (TestIssuer(keyID: "key-1"), TestIssuer(keyID: "key-2"))
        try await run(isUp: false, keys: issuer) { bed, serve, _ in
            // Nobody's key is known yet.
            let early = try await bed.send("NA-1", key: token(issuer))
            #expect(early.status == 503 && early.text.contains("urn:skillgate:problem:issuer-unavailable"))
            #expect(early.field("Retry-After") != nil)
            let ready = try await TestBed.transfer("GET", bed.adminURL + "/readyz")
            #expect(ready.status == 200 && ready.text.contains("the keys of issuer cluster cannot be fetched"))
            #expect(try await bed.send("NA-1").status == 202)

            let server = try await serve()
            try await bed.until("keys are fetched") { try await bed.send("NA-1", key: token(issuer)).status == 202 }
            server.signal(SIGKILL)
            _ = await server.exitStatus()
            for _ in 0..<20 {
                let known = try await bed.send("NA-1", key: token(issuer))
                let unknown = try await bed.send("NA-1", key: token(next))
                #expect(known.status == 202 && unknown.status == 503)
            }
            // Its keys are elsewhere from now on, and cannot be had there: what is in force stays.
            let file = bed.folder.appendingPathComponent("skillgate.yaml")
            let yaml = try String(contentsOf: file, encoding: .utf8)
            try bed.replace("skillgate.yaml", with: yaml.replacing("/keys'", with: "/others'"))
            _ = try await bed.gateway.line(with: "no keys of issuer `cluster`")
            #expect(try await bed.send("NA-1", key: token(issuer)).status == 202)
            try bed.replace("skillgate.yaml", with: yaml)
            let again = try await serve()
            defer { again.signal(SIGKILL) }
            try publish(issuer, next, by: bed)
            try await bed.until("the new key is fetched") { try await bed.send("NA-1", key: token(next)).status == 202 }
            try await bed.untilMetric(#"skillgate_issuer_keys{issuer="cluster"}"#, is: 2)
        }
    }

    @Test func `a request that waits for a key across a reload is one of the new configuration`() async throws {
        let (issuer, next) = (TestIssuer(keyID: "key-1"), TestIssuer(keyID: "key-2"))
        try await run(keys: issuer) { bed, _, server in
            #expect(try await bed.send("NA-1", key: token(issuer)).status == 202)
            try publish(issuer, next, by: bed)
            server?.signal(SIGSTOP)
            async let waiting = bed.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": "k"], key: token(next))
            // Callers and skills have other places now.
            let file = bed.folder.appendingPathComponent("skillgate.yaml")
            let yaml = try String(contentsOf: file, encoding: .utf8)
            let skill =
                "  - {name: first, clientID: amzn1.application-oa2-client.simulator, clientSecret: {file: secret}}"
            let caller = "  - {name: first, apiKeys: [{sha256: \(String(repeating: "a", count: 64))}], skills: [first]}"
            try bed.replace(
                "skillgate.yaml",
                with: yaml.replacing("skills:\n", with: "skills:\n\(skill)\n", maxReplacements: 1)
                    .replacing("callers:\n", with: "callers:\n\(caller)\n", maxReplacements: 1))
            bed.gateway.signal(SIGHUP)
            _ = try await bed.gateway.line(with: "configuration reloaded")
            server?.signal(SIGCONT)
            // The reload may have taken longer than a key is waited for.
            let answer = try await waiting
            #expect([202, 503].contains(answer.status), "\(answer.text)")
            let fields = ["Gateway-Region": "NA", "Idempotency-Key": "k"]
            try await bed.until("its key is known") {
                try await bed.send("NA-1", fields, key: token(next)).status == 202
            }
            #expect(try await bed.counters().accepted == 2)
        }
    }

    @Test func `keys in a file are taken over when it changes`() async throws {
        let (issuer, next) = (TestIssuer(keyID: "key-1"), TestIssuer(keyID: "key-2"))
        let configuration = """
            issuers:
              - {name: cluster, issuer: 'https://issuer.example', jwks: keys.json, audiences: [skillgate]}
            """
        try await TestBed.run(
            configuration: configuration, callers: Self.callers,
            prepare: { try Self.publish([issuer], in: $0.appendingPathComponent("keys.json")) }
        ) { bed in
            #expect(try await bed.send("NA-1", key: token(issuer)).status == 202)
            #expect(try await bed.send("NA-1", key: token(next)).status == 401)
            try publish(next, by: bed)
            try await bed.until("the new key is known") { try await bed.send("NA-1", key: token(next)).status == 202 }
            try await bed.until("the old key is forgotten") {
                try await bed.send("NA-1", key: token(issuer)).status == 401
            }
            // What is no set is refused, and the one before stays.
            try TestBed.write("{}", to: "keys.json", in: bed.folder)
            _ = try await bed.gateway.line(with: "not a JSON Web Key Set")
            #expect(try await bed.send("NA-1", key: token(next)).status == 202)
        }
    }
}
