import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// To Amazon through a real proxy, tinyproxy.
@Suite(.serialized) struct ProxyTests {
    /// A proxy on a free port.
    private func with(
        _ lines: String = "", _ body: (_ port: Int, _ proxy: RunningProcess) async throws -> Void
    ) async throws {
        let port = try FreePort.find()
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("tinyproxy-\(UUID().uuidString)")
        try Data("Port \(port)\nListen 127.0.0.1\nTimeout 60\nLogLevel Info\nMaxClients 50\n\(lines)\n".utf8).write(
            to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let proxy = try RunningProcess("/usr/bin/tinyproxy", ["-d", "-c", file.path])
        defer { proxy.signal(SIGKILL) }
        _ = try await proxy.line(with: "Accepting connections")
        try await body(port, proxy)
    }

    private static let trust = "eventLoops: 1\nupstream: {trust: {caFile: cert.pem}"

    /// Tunnels that were asked for.
    private static func tunnels(_ proxy: RunningProcess) -> Int {
        proxy.log.matches(of: /CONNECT localhost:\d+ HTTP/).count
    }

    @Test func `messages and token requests go through the proxy that is configured`() async throws {
        try await with { port, proxy in
            let configuration = "\(Self.trust), proxy: \"http://127.0.0.1:\(port)\"}"
            try await TestBed.run(configuration: configuration, tls: true, skills: 1) { bed in
                for _ in 0..<3 { #expect(try await bed.send("NA-1").status == 202) }
                #expect(try await bed.send("EU-1", ["Gateway-Region": "EU"]).status == 202)
                // One for the token, and a connection for each region.
                _ = try await proxy.line(with: "CONNECT localhost")
                #expect(Self.tunnels(proxy) == 3)
                // By what TLS agrees on, behind CONNECT.
                try await bed.untilMetric(
                    #"skillgate_upstream_connections_established_total{region="NA",protocol="h2"}"#, is: 1)

                proxy.signal(SIGKILL)
                _ = await proxy.exitStatus()
                let answer = try await bed.send("FE-1", ["Gateway-Region": "FE"])
                #expect(answer.status == 502 && answer.text.contains("did not accept a connection"))
            }
        }
    }

    @Test func `the proxy of the environment, with a name and a password`() async throws {
        try await with("BasicAuth skillgate passw0rd") { port, proxy in
            let environment = [
                "HTTPS_PROXY": "http://skillgate:passw%30rd@127.0.0.1:\(port)", "NO_PROXY": "example.org",
            ]
            try await TestBed.run(
                configuration: Self.trust + "}", tls: true, skills: 1, environment: environment
            ) { bed in
                let answer = try await bed.send("NA-1")
                #expect(answer.status == 202)
                #expect(Self.tunnels(proxy) == 2)
                #expect(!bed.gateway.log.contains("passw0rd"))
            }
        }
    }

    @Test(arguments: [
        ("}", ["HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "localhost"]),
        (", proxy: none}", ["HTTPS_PROXY": "http://127.0.0.1:1"]),
    ])
    func `no proxy is used where none is to be`(more: String, environment: [String: String]) async throws {
        try await TestBed.run(
            configuration: Self.trust + more, tls: true, skills: 1, environment: environment
        ) { bed in
            let answer = try await bed.send("NA-1")
            #expect(answer.status == 202)
        }
    }

    @Test func `a proxy that makes no tunnel is named`() async throws {
        try await with("ConnectPort 443") { port, _ in
            let regions = "regions: {NA: {apiEndpoint: \"https://localhost:1\"}}"
            try await TestBed.run(
                configuration: "eventLoops: 1\nupstream: {proxy: \"http://127.0.0.1:\(port)\"}", regions: regions
            ) { bed in
                let answer = try await bed.send("NA-1")
                #expect(answer.status == 502)
                #expect(answer.text.contains("cannot be reached through the proxy (the proxy answered 403)"))
            }
        }
    }

    @Test(
        arguments: [
            ("upstream: {proxy: \"http://user:secret@proxy:1\"}", [:], "1:19: `proxy`"),
            ("upstream: {proxy: socks5}", [:], "1:19: `proxy`"),
            ("", ["HTTPS_PROXY": "https://proxy-canary:1"], "the variable HTTPS_PROXY is not the URL of a proxy"),
        ] as [(String, [String: String], String)])
    func `what is no proxy is a mistake`(yaml: String, environment: [String: String], said: String) async throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("skillgate-\(UUID().uuidString).yaml")
        try Data((yaml + "\nskills: []\n").utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let check = try RunningProcess(
            RunningProcess.skillgate, ["check", "--config", file.path], environment: environment)
        let output = await check.output()
        #expect(await check.exitStatus() == 64)
        #expect(output.contains(said) && !output.contains("canary"), "\(output)")
    }
}
