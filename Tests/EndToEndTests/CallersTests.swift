import Foundation
import NIOSSL
import TestSupport
import Testing
import TokenEndpointClient

/// Who may call, over every kind of listener, and who may not.
@Suite(.serialized) struct CallersTests {
    static let clientSecret = "orders-client-canary-secret"
    static let signingKey = "signing-canary-0123456789abcdef0123"

    /// Somebody else, where that can be; only root may give files away.
    private static let socketOwner =
        geteuid() == 0 ? "daemon" : getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "root"

    /// A gateway with a plain listener, one with TLS, one that asks for certificates, and a Unix socket.
    private static func run(
        _ body: (TestBed, _ tls: Int, _ certificates: Int, _ socket: String) async throws -> Void
    ) async throws {
        let (tls, certificates) = (try FreePort.find(), try FreePort.find())
        // Short, since the path of a socket has to be.
        let socket = "/tmp/skillgate-\(UUID().uuidString.prefix(8)).sock"
        try await TestBed.run(
            configuration: """
                callerTokens: {signingKeys: [{file: signing}]}
                audit: {file: audit.log}
                """,
            listeners: """
                  - address: 127.0.0.1:0
                  - {address: 127.0.0.1:\(tls), tls: {certificateChainFile: server.pem, privateKeyFile: server-key.pem}}
                  - address: 127.0.0.1:\(certificates)
                    tls: {certificateChainFile: server.pem, privateKeyFile: server-key.pem, clientCAFile: ca.pem}
                  - {address: unix:\(socket), mode: 0600, owner: \(socketOwner)}
                """.replacingOccurrences(of: "  - ", with: "\n  - "),
            callers: """
                  - name: partner
                    clientID: partner-client
                    clientSecret: {file: client-secret}
                    certificate: {uri: spiffe://example.org/partner}
                    skills: [weather]
                    regions: [NA]
                """,
            prepare: { folder in
                try await Certificate.makeAuthority(in: folder)
                try await Certificate.issue("server", for: "DNS:localhost", in: folder)
                try await Certificate.issue("partner", for: "URI:spiffe://example.org/partner", in: folder)
                try await Certificate.issue("stranger", for: "URI:spiffe://example.org/stranger", in: folder)
                try TestBed.write(clientSecret, to: "client-secret", in: folder)
                try TestBed.write(signingKey, to: "signing", in: folder)
            }
        ) { bed in
            _ = try await bed.gateway.line(with: #""gateway.listener":"unix:"#)
            try await body(bed, tls, certificates, socket)
        }
        #expect(!FileManager.default.fileExists(atPath: socket) || unlink(socket) == 0)
    }

    private func status(_ way: RawConnection.Way, _ request: String) async throws -> Int? {
        try await RawConnection.with(way) { try await $0.exchange(request) }?.status
    }

    @Test func `each way in leads to the caller that it shows, and only to what that caller may`() async throws {
        try await Self.run { bed, tls, certificates, socket in
            let token = try await bed.buyToken(secret: Self.clientSecret)
            let tampered = token.dropLast() + (token.last == "A" ? "B" : "A")
            let (plain, secure) = (
                RawConnection.Way.tcp(port: bed.port), try RawConnection.Way.tls(port: tls, trusting: bed.folder)
            )
            let partner = try RawConnection.Way.tls(port: certificates, trusting: bed.folder, certificate: "partner")
            let stranger = try RawConnection.Way.tls(port: certificates, trusting: bed.folder, certificate: "stranger")
            let key = "Bearer \(TestBed.apiKey)"
            var sent = 0
            for (way, authorization, fields, region, expected) in [
                // Allowed.
                (plain, key, "", "NA", 202), (secure, key, "", "EU", 202), (.unix(path: socket), key, "", "FE", 202),
                (secure, "Bearer \(token)", "", "NA", 202), (plain, "Bearer \(token)", "", "NA", 202),
                (partner, nil, "", "NA", 202), (partner, key, "", "EU", 202), (stranger, key, "", "NA", 202),
                // Of a skill or for a region that is not this caller's.
                (plain, key, "Gateway-Skill: news\r\n", "NA", 403), (secure, "Bearer \(token)", "", "EU", 403),
                (secure, "Bearer \(token)", "Gateway-Skill: news\r\n", "NA", 403), (partner, nil, "", "FE", 403),
                (partner, nil, "Gateway-Skill: news\r\n", "NA", 403),
                // Nobody.
                (plain, nil, "", "NA", 401), (secure, nil, "", "NA", 401), (.unix(path: socket), nil, "", "NA", 401),
                (stranger, nil, "", "NA", 401), (plain, "Bearer \(TestBed.apiKey)x", "", "NA", 401),
                (plain, "Bearer \(tampered)", "", "NA", 401), (partner, "Bearer wrong-key-canary", "", "NA", 401),
                (plain, "Bearer \(Self.clientSecret)", "", "NA", 401),
            ] as [(RawConnection.Way, String?, String, String, Int)] {
                let request = bed.request(
                    user: "\(region)-1", region: region, authorization: authorization, fields: fields)
                #expect(try await status(way, request) == expected, "\(way) \(fields) \(region)")
                if expected == 202 { sent += 1 }
            }
            #expect(try await bed.counters().received == sent, "nothing was sent that was refused")
            try await expectAudit(of: bed)
        }
    }

    private func expectAudit(of bed: TestBed) async throws {
        bed.gateway.signal(SIGTERM)
        #expect(await bed.gateway.exitStatus() == 0)
        struct Line: Decodable {
            var action: String
            var decision: String
            var caller: String?
            var authentication: String?
            var address: String
            var problem: String?
            /// How many more of its kind there were than have a line.
            var more: Int?
        }
        let text = try String(contentsOf: bed.folder.appendingPathComponent("audit.log"), encoding: .utf8)
        let lines = try text.split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
        #expect(lines.count { $0.action == "message" && $0.decision == "allowed" } == 8)
        func refusals(_ problem: String) -> Int {
            lines.filter { $0.problem == problem }.reduce(0) { $0 + ($1.more ?? 1) }
        }
        #expect(refusals("not-authenticated") == 8)
        #expect(refusals("not-allowed") == 5)
        #expect(lines.count { $0.action == "access-token" && $0.authentication == "client-secret" } == 1)
        #expect(Set(lines.compactMap(\.authentication)) == ["api-key", "access-token", "certificate", "client-secret"])
        #expect(Set(lines.map(\.address)) == ["127.0.0.1", "local"])
    }

    @Test func `a listener that asks for certificates takes no connection without a good one`() async throws {
        try await Self.run { bed, _, certificates, _ in
            // Of an authority that the gateway does not know.
            let elsewhere = bed.folder.appendingPathComponent("elsewhere")
            try FileManager.default.createDirectory(at: elsewhere, withIntermediateDirectories: true)
            try await Certificate.makeAuthority(in: elsewhere)
            try await Certificate.issue("forged", for: "URI:spiffe://example.org/partner", in: elsewhere)
            let trusting = try TLSConfiguration.trustingAnybody(certificate: "forged", in: elsewhere)
            let none = try TLSConfiguration.trustingAnybody(certificate: nil, in: elsewhere)
            for context in [trusting, none] {
                let answer = try? await RawConnection.with(.tls(port: certificates, context)) { exchange in
                    try await exchange.exchange(bed.request(user: "NA-1", authorization: nil))
                }
                #expect(answer.flatMap { $0 } == nil)
            }
            #expect(try await bed.counters().received == 0)
        }
    }

    @Test func `a Unix socket has its mode, is taken over from the dead, and not from the living`() async throws {
        try await Self.run { bed, _, _, socket in
            var status = stat()
            #expect(stat(socket, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
            #expect(status.st_uid == getpwnam(Self.socketOwner)?.pointee.pw_uid)
            // The same configuration again: its socket is in use.
            let second = try RunningProcess(
                RunningProcess.skillgate, ["serve", "--config", bed.folder.path + "/skillgate.yaml"])
            #expect(await second.exitStatus() == 69)
            let output = await second.output()
            #expect(output.contains("another process is listening") || output.contains("it is in use"))
            bed.gateway.signal(SIGKILL)
            _ = await bed.gateway.exitStatus()
            #expect(FileManager.default.fileExists(atPath: socket), "the dead leave it")
            try await bed.withReplica { replica in
                _ = try await replica.gateway.line(with: #""gateway.listener":"unix:"#)
                #expect(try await self.status(.unix(path: socket), bed.request(user: "NA-1")) == 202)
            }
        }
    }

    @Test func `a caller far above its rate is told so, and the others get what is theirs`() async throws {
        try await TestBed.run(
            callers:
                "  - {name: eager, apiKeys: [{file: eager-key}], skills: [weather], rate: {perSecond: 5, burst: 5}}",
            prepare: { try TestBed.write("eager-canary-0123456789", to: "eager-key", in: $0) }
        ) { bed in
            let statuses = try await withThrowingTaskGroup(of: (Bool, Int).self) { tasks in
                for number in 0..<400 {
                    let isEager = number % 2 == 0
                    let key = isEager ? "eager-canary-0123456789" : TestBed.apiKey
                    tasks.addTask {
                        let request = bed.request(user: "NA-\(number)", authorization: "Bearer \(key)")
                        return (isEager, try await self.status(.tcp(port: bed.port), request) ?? 0)
                    }
                }
                return try await tasks.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.count { !$0.0 && $0.1 == 202 } == 200)
            let eager = Dictionary(grouping: statuses.filter(\.0), by: \.1).mapValues(\.count)
            #expect(Set(eager.keys) == [202, 429])
            #expect(eager[202] ?? 0 < 100)
            let page = try await TestBed.transfer("GET", bed.adminURL + "/metrics").text
            #expect(page.contains(#"skillgate_rejected_total{reason="caller-rate"} \#(eager[429] ?? 0)"#))
            let refused = try await RawConnection.with(port: bed.port) { exchange in
                var last: RawConnection.Response?
                for number in 0..<20 where last?.status != 429 {
                    last = try await exchange.exchange(
                        bed.request(user: "NA-\(number)", authorization: "Bearer eager-canary-0123456789"))
                }
                return last
            }
            #expect(refused?.field("Retry-After") == "1")
            #expect(refused?.content.contains("urn:skillgate:problem:caller-rate") == true)
        }
    }

    @Test func `a rule that is only reported is seen in metrics and logs, and enforced when it no longer is`()
        async throws
    {
        let caller =
            "  - {name: eager, apiKeys: [{file: eager-key}], skills: [weather], idempotencyKey: required, rate: {perSecond: 1, burst: 2}, reportOnly: [rate, idempotencyKey]}"
        try await TestBed.run(
            configuration:
                "eventLoops: 1\naccessLog: {file: access.log, acceptedPerLine: 100}\naudit: {file: audit.log}",
            callers: caller,
            prepare: { try TestBed.write("eager-canary-0123456789", to: "eager-key", in: $0) }
        ) { bed in
            for _ in 0..<20 {
                let answer = try await bed.send("NA-1", key: "eager-canary-0123456789")
                #expect(answer.status == 202)
            }
            try await bed.untilMetric(
                #"skillgate_requests_reported_total{caller="eager",rule="idempotencyKey"}"#, is: 20)
            // As many as a busy machine leaves above the rate.
            let page = try await TestBed.transfer("GET", bed.adminURL + "/metrics").text
            let sample = page.firstMatch(of: /skillgate_requests_reported_total\{caller="eager",rule="rate"\} (\d+)/)
            let early = try #require(sample.flatMap { Int($0.1) })
            #expect(early > 0)
            for log in ["access.log", "audit.log"] {
                try await bed.until("it is in \(log)") {
                    let text = try String(contentsOf: bed.folder.appendingPathComponent(log), encoding: .utf8)
                    return text.matches(of: /"wouldRefuse":\["rate","idempotencyKey"\]/).count == early
                        && text.matches(of: /"wouldRefuse":\["idempotencyKey"\]/).count == 20 - early
                }
            }
            let file = bed.folder.appendingPathComponent("skillgate.yaml")
            let text = try String(contentsOf: file, encoding: .utf8)
            try bed.replace(
                "skillgate.yaml", with: text.replacingOccurrences(of: ", reportOnly: [rate, idempotencyKey]", with: ""))
            try await bed.until("it is enforced") {
                let answer = try await bed.send("NA-1", key: "eager-canary-0123456789")
                return answer.status == 400
            }
        }
    }
}

extension TLSConfiguration {
    /// A client that takes any server, so that it is the server who decides.
    static func trustingAnybody(certificate: String?, in folder: URL) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        if let certificate {
            configuration.certificateChain = try NIOSSLCertificate.fromPEMFile("\(folder.path)/\(certificate).pem")
                .map { .certificate($0) }
            configuration.privateKey = .privateKey(
                try NIOSSLPrivateKey(file: "\(folder.path)/\(certificate)-key.pem", format: .pem))
        }
        return try NIOSSLContext(configuration: configuration)
    }
}

extension TestBed {
    /// An access token of the gateway.
    func buyToken(client: String = "partner-client", secret: String) async throws -> String {
        struct Grant: Decodable {
            var access_token: String
            var expires_in: Int
        }
        let answer = try await Self.transfer(
            "POST", url + "/auth/o2/token",
            "grant_type=client_credentials&client_id=\(client)&client_secret=\(secret)&scope=alexa:skill_messaging",
            ["Content-Type": "application/x-www-form-urlencoded"])
        guard answer.status == 200 else { throw RunningProcess.Failure(description: answer.text) }
        return try JSONDecoder().decode(Grant.self, from: Data(answer.content)).access_token
    }
}
