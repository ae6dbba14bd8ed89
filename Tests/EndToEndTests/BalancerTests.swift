import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// Behind a real balancer, HAProxy, which tells whom it speaks for.
@Suite(.serialized) struct BalancerTests {
    private static let logs = "eventLoops: 1\naudit: {file: audit.log}"

    /// A balancer in front of the gateway.
    ///
    /// - Parameters:
    ///   - mode: `tcp` or `http`.
    ///   - server: options of its `server` line.
    private func withBalancer(
        _ mode: String, _ server: String, of bed: TestBed, _ body: (_ url: String) async throws -> Void
    ) async throws {
        let port = try FreePort.find()
        let lines = """
            defaults
                mode \(mode)
                timeout connect 5s
                timeout client 30s
                timeout server 30s
            \(mode == "http" ? "    option forwardfor" : "")
            listen gateway
                bind 127.0.0.1:\(port)
                # As if it had been called from there.
                \(mode == "http" ? "http-request" : "tcp-request connection") set-src str(203.0.113.9)
                server gateway 127.0.0.1:\(bed.port) \(server)

            """
        let file = bed.folder.appendingPathComponent("haproxy.cfg")
        try Data(lines.utf8).write(to: file)
        let balancer = try RunningProcess("/usr/sbin/haproxy", ["-db", "-V", "-f", file.path])
        defer { balancer.signal(SIGKILL) }
        let url = "http://127.0.0.1:\(port)"
        try await bed.until("the balancer listens") { (try? await TestBed.transfer("GET", url + "/")) != nil }
        try await body(url)
    }

    private func send(_ url: String, _ fields: [String: String] = [:], key: String = TestBed.apiKey) async throws
        -> HTTPTransfer.Response
    {
        let all = ["Authorization": "Bearer \(key)", "Gateway-Region": "NA", "Content-Type": "application/json"]
        return try await TestBed.transfer(
            "POST", url + "/v1/skillmessages/users/amzn1.ask.account.NA-1", #"{"data":{}}"#, all.merging(fields) { $1 })
    }

    /// The addresses in the lines of refused requests.
    private func addresses(_ bed: TestBed, _ count: Int) async throws -> [String] {
        var found: [String] = []
        try await bed.until("the log has \(count) addresses") {
            let text = try String(contentsOf: bed.folder.appendingPathComponent("audit.log"), encoding: .utf8)
            found = text.matches(of: /"address":"([^"]*)".*"problem":"not-authenticated"/).map { String($0.1) }
            return found.count >= count
        }
        return found
    }

    @Test(arguments: ["send-proxy", "send-proxy-v2"])
    func `the PROXY protocol tells the client's address`(server: String) async throws {
        let listeners =
            "[{address: 127.0.0.1:0, proxyProtocol: required, trustedProxies: [127.0.0.0/8], maximumConnectionsPerAddress: 2}]"
        try await TestBed.run(configuration: Self.logs, skills: 1, listeners: listeners) { bed in
            try await withBalancer("tcp", server, of: bed) { url in
                let accepted = try await send(url)
                #expect(accepted.status == 202)
                let refused = try await send(url, ["X-Forwarded-For": "192.0.2.1"], key: "wrong-key-0123456789")
                let addresses = try await addresses(bed, 1)
                #expect(refused.status == 401 && addresses == ["203.0.113.9"])
            }
            // Nobody else gets in, and it is seen.
            let direct = try? await bed.send("NA-1")
            #expect(direct == nil)
            try await bed.untilMetric(#"skillgate_connections_proxy_refused_total{reason="malformed"}"#, is: 1)
            _ = try await bed.gateway.line(with: "does not begin with a valid header of the PROXY protocol")
        }
    }

    @Test(arguments: ["h2", "http/1.1"]) func `in front of TLS, too`(version: String) async throws {
        let listeners =
            "[{address: 127.0.0.1:0, proxyProtocol: required, trustedProxies: [127.0.0.1], tls: {certificateChainFile: cert.pem, privateKeyFile: key.pem}}]"
        try await TestBed.run(
            configuration: Self.logs, skills: 1, listeners: listeners,
            prepare: { try await Certificate.make(in: $0) }
        ) { bed in
            try await withBalancer("http", "send-proxy-v2 ssl verify none alpn \(version)", of: bed) { url in
                let accepted = try await send(url)
                #expect(accepted.status == 202)
                let refused = try await send(url, key: "wrong-key-0123456789")
                let addresses = try await addresses(bed, 1)
                #expect(refused.status == 401 && addresses == ["203.0.113.9"])
            }
        }
    }

    @Test func `connections from others than the trusted proxies are closed`() async throws {
        let listeners = "[{address: 127.0.0.1:0, proxyProtocol: required, trustedProxies: [10.0.0.0/8]}]"
        try await TestBed.run(configuration: Self.logs, skills: 1, listeners: listeners) { bed in
            let direct = try? await bed.send("NA-1")
            #expect(direct == nil)
            try await bed.untilMetric(#"skillgate_connections_proxy_refused_total{reason="untrusted"}"#, is: 1)
            _ = try await bed.gateway.line(with: "does not come from one of `trustedProxies`")
        }
    }

    @Test func `X-Forwarded-For counts from a trusted proxy, and what a client wrote into it does not`() async throws {
        let listeners =
            "[{address: 127.0.0.1:0, trustedProxies: [127.0.0.1]}]"
        try await TestBed.run(configuration: Self.logs, skills: 1, listeners: listeners) { bed in
            try await withBalancer("http", "", of: bed) { url in
                let accepted = try await send(url)
                #expect(accepted.status == 202)
                let forged = try await send(url, ["X-Forwarded-For": "192.0.2.1"], key: "wrong-key-0123456789")
                let addresses = try await addresses(bed, 1)
                #expect(forged.status == 401 && addresses == ["203.0.113.9"])
            }
        }
    }

    @Test func `X-Forwarded-For from anybody else is not looked at`() async throws {
        let listeners = "[{address: 127.0.0.1:0, trustedProxies: [10.0.0.0/8]}]"
        try await TestBed.run(configuration: Self.logs, skills: 1, listeners: listeners) { bed in
            let refused = try await send(bed.url, ["X-Forwarded-For": "192.0.2.1"], key: "wrong-key-0123456789")
            let addresses = try await addresses(bed, 1)
            #expect(refused.status == 401 && addresses == ["127.0.0.1"])
        }
    }

    @Test func `a client that has reset its connection by now is not taken for one of this machine`() async throws {
        try await TestBed.run(configuration: Self.logs, skills: 1) { bed in
            for number in 0..<50 {
                try await sendAndReset(bed.request(user: "NA-\(number)"), port: bed.port)
            }
            // Accepted after all of those.
            let last = try await bed.send("NA-last")
            #expect(last.status == 202)
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
            let text = try String(contentsOf: bed.folder.appendingPathComponent("audit.log"), encoding: .utf8)
            #expect(text.contains(#""address":"127.0.0.1""#) && !text.contains(#""address":"local""#))
        }
    }

    private func sendAndReset(_ text: String, port: Int) async throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        #expect(connected == 0)
        let bytes = Array(text.utf8)
        #expect(write(descriptor, bytes, bytes.count) == bytes.count)
        var reset = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &reset, socklen_t(MemoryLayout<linger>.size))
        close(descriptor)
    }

    @Test func `failed attempts are limited by the client's address, so that one client does not lock out the others`()
        async throws
    {
        let listeners = "[{address: 127.0.0.1:0, trustedProxies: [127.0.0.1]}]"
        try await TestBed.run(configuration: Self.logs, skills: 1, listeners: listeners) { bed in
            func attempt(from address: String) async throws -> Int {
                try await send(bed.url, ["X-Forwarded-For": address], key: "wrong-key-0123456789").status
            }
            var statuses: [Int] = []
            for _ in 0..<40 { statuses.append(try await attempt(from: "192.0.2.1")) }
            let other = try await attempt(from: "192.0.2.2")
            #expect(statuses.contains(429) && other == 401)
        }
    }
}
