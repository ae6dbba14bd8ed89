import Foundation
import TestSupport
import Testing

/// Amazon's own SDKs as callers that know nothing of the gateway: both base URLs lead to it, and nothing else is changed.
@Suite(.serialized) struct SDKTests {
    private static let secret = "sdk+canary/secret=0123456789"

    /// - Parameter sdk: members of the SDK's caller beside the ordinary ones.
    private static func run(
        faults: String? = nil, sdk: String = "", _ body: (TestBed, _ tls: Int) async throws -> Void
    ) async throws {
        let tls = try FreePort.find()
        try await TestBed.run(
            configuration: "callerTokens: {signingKeys: [{file: signing}]}", faults: faults,
            listeners: """
                [{address: 127.0.0.1:0}, {address: 127.0.0.1:\(tls), tls: {certificateChainFile: server.pem, privateKeyFile: server-key.pem}}]
                """,
            callers: """
                  - {name: sdk, clientID: sdk-client, clientSecret: {file: sdk-secret}, skills: [news]\(sdk)}
                """,
            prepare: { folder in
                try await Certificate.makeAuthority(in: folder)
                try await Certificate.issue("server", for: "DNS:localhost", in: folder)
                try TestBed.write(secret, to: "sdk-secret", in: folder)
                try TestBed.write(CallersTests.signingKey, to: "signing", in: folder)
            }
        ) { bed in
            // The first line with a listener is the plain one; the other one follows.
            _ = try await bed.gateway.line(with: #""gateway.listener":"127.0.0.1:\#(tls)""#)
            try await body(bed, tls)
        }
    }

    @Test(
        arguments: [
            ("{}", secret, 0, "status 202"), (#"{"FE": {"status": 400}}"#, secret, 3, "status 400"),
            (#"{"FE": {"status": 403, "body": "html"}}"#, secret, 3, "status 403"),
            (#"{"FE": {"status": 404, "body": "empty"}}"#, secret, 3, "status 404"),
            (#"{"FE": {"status": 429}}"#, secret, 3, "status 429"),
            (#"{"FE": {"status": 500, "body": "html"}}"#, secret, 3, "status 500"),
            (#"{"FE": {"connection": "resetAfterRead"}}"#, secret, 3, "status 504"),
            ("{}", "wrong-secret-canary", 3, "status 401"),
        ] as [(String, String, Int32, String)])
    func `the stock Python SDK gets a token and sends`(
        faults: String, secret: String, exit: Int32, said: String
    ) async throws {
        try await Self.run(faults: faults) { bed, tls in
            let sdk = try RunningProcess.python(
                "send_message.py",
                environment: [
                    "BASE_URL": "https://localhost:\(tls)", "CLIENT_ID": "sdk-client", "CLIENT_SECRET": secret,
                    "USER_ID": "amzn1.ask.account.FE-1", "REQUESTS_CA_BUNDLE": bed.folder.path + "/ca.pem",
                ])
            #expect(try await sdk.line(with: "status") == said)
            #expect(await sdk.exitStatus() == exit)
            let messages = try await bed.acceptedMessages()
            #expect(messages.count == (exit == 0 ? 1 : 0))
        }
    }

    @Test(arguments: [
        ("/regions/NA", "NA-1"), ("/regions/EU/", "EU-1"), ("/skills/news", "FE-1"),
        ("/skills/news/regions/EU", "EU-2"),
    ])
    func `a base URL with a path leads the stock Python SDK's users to their regions`(
        base: String, user: String
    ) async throws {
        try await Self.run { bed, tls in
            let sdk = try RunningProcess.python(
                "send_message.py",
                environment: [
                    "BASE_URL": "https://localhost:\(tls)\(base)", "CLIENT_ID": "sdk-client",
                    "CLIENT_SECRET": Self.secret, "USER_ID": "amzn1.ask.account.\(user)",
                    "REQUESTS_CA_BUNDLE": bed.folder.path + "/ca.pem",
                ])
            #expect(try await sdk.line(with: "status") == "status 202")
            let region = String(user.prefix(2))
            #expect(try await bed.counters().messages[region]?.accepted == 1)
        }
    }

    @Test(arguments: ["NA", "EU", "FE"])
    func `users of the stock Python SDK are found wherever they live, if its caller is to look for them`(
        region: String
    ) async throws {
        try await Self.run(sdk: ", discovery: probe") { bed, tls in
            let sdk = try RunningProcess.python(
                "send_message.py",
                environment: [
                    "BASE_URL": "https://localhost:\(tls)", "CLIENT_ID": "sdk-client", "CLIENT_SECRET": Self.secret,
                    "USER_ID": "amzn1.ask.account.\(region)-1", "REQUESTS_CA_BUNDLE": bed.folder.path + "/ca.pem",
                ])
            #expect(try await sdk.line(with: "status") == "status 202")
            #expect(try await bed.counters().messages[region]?.accepted == 1)
            #expect(try await bed.counters().accepted == 1)
        }
    }

    @Test(arguments: ["[content]", "[field, {data: order}]"])
    func `what the stock Python SDK sends again is not sent again`(sources: String) async throws {
        try await Self.run(sdk: ", idempotencyKeyFrom: \(sources)") { bed, tls in
            func send(_ data: String) async throws -> String {
                let sdk = try RunningProcess.python(
                    "send_message.py",
                    environment: [
                        "BASE_URL": "https://localhost:\(tls)", "CLIENT_ID": "sdk-client",
                        "CLIENT_SECRET": Self.secret, "USER_ID": "amzn1.ask.account.FE-1", "DATA": data,
                        "REQUESTS_CA_BUNDLE": bed.folder.path + "/ca.pem",
                    ])
                return try await sdk.line(with: "status")
            }
            #expect(try await send(#"{"order": "1"}"#) == "status 202")
            #expect(try await send(#"{"order": "1"}"#) == "status 202")
            #expect(try await bed.counters().accepted == 1)
            #expect(try await send(#"{"order": "2"}"#) == "status 202")
            #expect(try await bed.counters().accepted == 2)
            // An answer that was lost: nobody knows, and nothing is sent again.
            try await bed.setFaults(#"{"FE": {"connection": "resetAfterRead"}}"#)
            let received = try await bed.counters().received
            for _ in 0..<2 { #expect(try await send(#"{"order": "3"}"#) == "status 504") }
            #expect(try await bed.counters().received == received + 1)
        }
    }

    /// What Node's and Java's SDKs put on the wire, to the byte but for host, secret and token.
    ///
    /// - Parameter base: the path of the base URLs; both join it as it is, without a slash at its end.
    private static func requests(
        token: String, base: String = "", user: String = "FE-1"
    ) -> [(token: String, message: String)] {
        let form =
            "grant_type=client_credentials&client_secret=\(secret)&client_id=sdk-client&scope=alexa:skill_messaging"
        let message = #"{"data":{"order":"canary-1"},"expiresAfterSeconds":60}"#
        let path = base + "/v1/skillmessages/users/amzn1.ask.account.\(user)"
        // Node writes and ends in two steps, so that its requests are chunked.
        func chunked(_ text: String) -> String { "\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n0\r\n\r\n" }
        return [
            (
                "POST \(base)/auth/O2/token HTTP/1.1\r\nContent-type: application/x-www-form-urlencoded\r\nHost: localhost\r\n"
                    + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(form),
                "POST \(path) HTTP/1.1\r\nContent-type: application/json\r\nAuthorization: Bearer \(token)\r\n"
                    + "Host: localhost\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + chunked(message)
            ),
            (
                "POST \(base)/auth/O2/token HTTP/1.1\r\nContent-type: application/x-www-form-urlencoded\r\n"
                    + "Content-Length: \(form.utf8.count)\r\nHost: localhost\r\nConnection: Keep-Alive\r\n"
                    + "User-Agent: Apache-HttpClient/4.5.13 (Java/17.0.15)\r\nAccept-Encoding: gzip,deflate\r\n\r\n"
                    + form,
                "POST \(path) HTTP/1.1\r\nContent-type: application/json\r\nAuthorization: Bearer \(token)\r\n"
                    + "Content-Length: \(message.utf8.count)\r\nHost: localhost\r\nConnection: Keep-Alive\r\n"
                    + "User-Agent: Apache-HttpClient/4.5.13 (Java/17.0.15)\r\nAccept-Encoding: gzip,deflate\r\n\r\n"
                    + message
            ),
        ]
    }

    @Test(arguments: [0, 1], [("", "FE-1"), ("/regions/EU", "EU-1"), ("/skills/news/regions/NA", "NA-1")])
    func `what Node's and Java's SDKs send gets a token and is sent`(
        sdk: Int, to place: (base: String, user: String)
    ) async throws {
        try await Self.run { bed, tls in
            let way = try RawConnection.Way.tls(port: tls, trusting: bed.folder)
            let answers = try await RawConnection.with(way) { exchange in
                let grant = try await exchange.exchange(Self.requests(token: "", base: place.base)[sdk].token)
                let token = grant?.content.split(separator: "\"").first { $0.hasPrefix("sgt_") } ?? ""
                return [
                    grant,
                    try await exchange.exchange(
                        Self.requests(token: String(token), base: place.base, user: place.user)[sdk].message),
                ]
            }
            #expect(answers[0]?.status == 200)
            #expect(answers[0]?.field("Cache-Control") == "no-store")
            #expect(
                answers[0]?.content.contains(
                    #""expires_in":3600,"scope":"alexa:skill_messaging","token_type":"Bearer""#) == true)
            #expect(answers[1]?.status == 202)
            #expect(answers[1]?.field("X-Amzn-RequestId") != nil)
            #expect(try await bed.acceptedMessages().map(\.data) == [["order": "canary-1"]])
            #expect(try await bed.counters().messages[String(place.user.prefix(2))]?.accepted == 1)
        }
    }

    @Test func `TLS agrees on what both sides speak, and refuses a client with which that is nothing`() async throws {
        let python = try #require(ProcessInfo.processInfo.environment["TEST_PYTHON"])
        try await Self.run { bed, tls in
            let script = """
                import socket, ssl, sys
                context = ssl.create_default_context(cafile=sys.argv[2])
                context.set_alpn_protocols(sys.argv[3:])
                try:
                    with context.wrap_socket(
                        socket.create_connection(("localhost", int(sys.argv[1]))), server_hostname="localhost") as client:
                        print(client.selected_alpn_protocol())
                except ssl.SSLError as error:
                    print(error)
                """
            for (offer, outcome) in [
                (["h3"], "no application protocol"), (["h2"], "h2"), (["http/1.1", "h2"], "h2"),
                (["http/1.1"], "http/1.1"), ([], "None"),
            ] {
                let client = try RunningProcess(
                    python, ["-c", script, "\(tls)", bed.folder.path + "/ca.pem"] + offer)
                let output = await client.output()
                #expect(output.contains(outcome), "\(offer): \(output)")
            }
        }
    }

    @Test func `an examination of the TLS listener finds nothing`() async throws {
        let python = try #require(ProcessInfo.processInfo.environment["TEST_PYTHON"])
        try await Self.run { bed, tls in
            let report = bed.folder.path + "/tls.json"
            let sslyze = try RunningProcess(
                python,
                [
                    "-m", "sslyze", "--json_out", report, "--certinfo_ca_file", bed.folder.path + "/ca.pem",
                    // Exits with 1 for whatever Mozilla advises against.
                    "--mozilla_config", "intermediate", "localhost:\(tls)",
                ])
            let output = await sslyze.output()
            #expect(await sslyze.exitStatus() == 0, "\(output)")
            #expect(output.contains("localhost:\(tls): OK - Compliant."))
            let json = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: report)))
            let result = try #require(
                ((json as? [String: Any])?["server_scan_results"] as? [[String: Any]])?.first?["scan_result"]
                    as? [String: [String: Any]])
            func value(_ scan: String) -> [String: Any] { result[scan]?["result"] as? [String: Any] ?? [:] }
            for old in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"] {
                let accepted = value("\(old)_cipher_suites")["accepted_cipher_suites"] as? [Any]
                #expect(accepted?.isEmpty == true, "\(old)")
            }
            for new in ["tls_1_2", "tls_1_3"] {
                let accepted = value("\(new)_cipher_suites")["accepted_cipher_suites"] as? [[String: Any]] ?? []
                let names = accepted.compactMap { ($0["cipher_suite"] as? [String: Any])?["name"] as? String }
                #expect(!names.isEmpty)
                for name in names { #expect(name.contains("GCM") || name.contains("CHACHA20"), "\(name)") }
            }
            #expect(value("heartbleed")["is_vulnerable_to_heartbleed"] as? Bool == false)
            #expect(value("openssl_ccs_injection")["is_vulnerable_to_ccs_injection"] as? Bool == false)
            #expect(value("tls_compression")["supports_compression"] as? Bool == false)
            #expect(
                value("robot")["robot_result"] as? String == "NOT_VULNERABLE_NO_ORACLE"
                    || value("robot")["robot_result"] as? String == "NOT_VULNERABLE_RSA_NOT_SUPPORTED")
            #expect(value("session_renegotiation")["is_vulnerable_to_client_renegotiation_dos"] as? Bool == false)
        }
    }
}
