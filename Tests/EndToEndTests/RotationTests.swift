import Foundation
import Synchronization
import TestSupport
import Testing
import TokenEndpointClient

/// Secrets, keys and certificates change hands while messages flow.
@Suite(.serialized) struct RotationTests {
    /// What the senders use at the moment.
    private final class Current: Sendable {
        private let text: Mutex<String>

        init(_ text: String) { self.text = Mutex(text) }

        var value: String { text.withLock { $0 } }
        func set(_ value: String) { text.withLock { $0 = value } }
    }

    /// Messages that carry what is current.
    private func flow(
        _ bed: TestBed, _ bearer: Current, _ body: (Traffic) async throws -> Void
    ) async throws -> [Int: Int] {
        try await Traffic.flow(by: { .tcp(port: bed.port) }) { number in
            bed.request(
                user: "NA-\(number)", idempotencyKey: "k-\(number)", authorization: "Bearer \(bearer.value)")
        } _: {
            try await body($0)
        }
    }

    @Test func `an API key is replaced, and no message fails`() async throws {
        let new = "new-canary-0123456789abcdef"
        try await TestBed.run { bed in
            let key = Current(TestBed.apiKey)
            try TestBed.write(new, to: "new-key", in: bed.folder)
            let statuses = try await flow(bed, key) { traffic in
                await traffic.more(50)
                try await bed.change("[{file: key}]", to: "[{file: key}, {file: new-key}]")
                key.set(new)
                await traffic.more(50)
                try await bed.change("[{file: key}, {file: new-key}]", to: "[{file: new-key}]")
                await traffic.more(50)
            }
            #expect(Set(statuses.keys) == [202])
            #expect(try await bed.send("NA-1").status == 401)
            #expect(try await bed.send("NA-1", key: new).status == 202)
        }
    }

    @Test func `a key's file is replaced by itself, and that is enough`() async throws {
        let new = "new-canary-0123456789abcdef"
        try await TestBed.run { bed in
            #expect(try await bed.send("NA-1").status == 202)
            try bed.replace("key", with: new)
            try await bed.until("a reload") { try await bed.reloads("success") > 0 }
            #expect(try await bed.send("NA-1").status == 401)
            #expect(try await bed.send("NA-1", key: new).status == 202)
        }
    }

    @Test func `a secret behind a symbolic link is replaced as Kubernetes does it`() async throws {
        let new = "new-canary-0123456789abcdef"
        try await TestBed.run(
            callers: "  - {name: mounted, apiKeys: [{file: mount/key}], skills: [weather]}",
            prepare: { folder in
                for (version, key) in [("one", "mounted-canary-0123456789"), ("two", new)] {
                    let place = folder.appendingPathComponent(version)
                    try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
                    try TestBed.write(key, to: "key", in: place)
                }
                try FileManager.default.createSymbolicLink(
                    atPath: folder.path + "/mount", withDestinationPath: folder.path + "/one")
            }
        ) { bed in
            #expect(try await bed.send("NA-1", key: "mounted-canary-0123456789").status == 202)
            try FileManager.default.createSymbolicLink(
                atPath: bed.folder.path + "/next", withDestinationPath: bed.folder.path + "/two")
            #expect(rename(bed.folder.path + "/next", bed.folder.path + "/mount") == 0)
            try await bed.until("a reload") { try await bed.reloads("success") > 0 }
            #expect(try await bed.send("NA-1", key: new).status == 202)
            #expect(try await bed.send("NA-1", key: "mounted-canary-0123456789").status == 401)
        }
    }

    @Test func `the key that signs tokens is replaced, and no message fails`() async throws {
        try await TestBed.run(
            configuration: "callerTokens: {signingKeys: [{file: signing}]}",
            callers: "  - {name: partner, clientID: partner-client, clientSecret: {file: partner}, skills: [weather]}",
            prepare: { folder in
                try TestBed.write("partner-canary-secret", to: "partner", in: folder)
                try TestBed.write("one-canary-0123456789abcdef0123456789", to: "signing", in: folder)
                try TestBed.write("two-canary-0123456789abcdef0123456789", to: "next-signing", in: folder)
            }
        ) { bed in
            let first = try await bed.buyToken(secret: "partner-canary-secret")
            let bearer = Current(first)
            let statuses = try await flow(bed, bearer) { traffic in
                await traffic.more(50)
                try await bed.change("[{file: signing}]", to: "[{file: next-signing}, {file: signing}]")
                await traffic.more(50)
                bearer.set(try await bed.buyToken(secret: "partner-canary-secret"))
                await traffic.more(50)
                try await bed.change("[{file: next-signing}, {file: signing}]", to: "[{file: next-signing}]")
                await traffic.more(50)
            }
            #expect(Set(statuses.keys) == [202])
            #expect(try await bed.send("NA-1", key: first).status == 401)
        }
    }

    @Test func `the certificate of a listener is replaced, and no connection fails`() async throws {
        let tls = try FreePort.find()
        try await TestBed.run(
            listeners: """
                [{address: 127.0.0.1:0}, {address: 127.0.0.1:\(tls), tls: {certificateChainFile: server.pem, privateKeyFile: server-key.pem}}]
                """,
            prepare: { folder in
                try await Certificate.makeAuthority(in: folder)
                try await Certificate.issue("server", for: "DNS:localhost", in: folder)
                try await Certificate.issue("next", for: "DNS:localhost,DNS:next.example.org", in: folder)
            }
        ) { bed in
            _ = try await bed.gateway.line(with: #""gateway.listener":"127.0.0.1:\#(tls)""#)
            let way = try RawConnection.Way.tls(port: tls, trusting: bed.folder)
            let next = try RawConnection.Way.tls(port: tls, trusting: bed.folder, name: "next.example.org")
            @Sendable func isNextServed() async -> Bool {
                let answer = try? await RawConnection.with(next) { try await $0.exchange(bed.request(user: "NA-1")) }
                return answer?.status == 202
            }
            #expect(await isNextServed() == false)
            let statuses = try await Traffic.flow(by: { way }) {
                bed.request(user: "NA-\($0)")
            } _: { traffic in
                await traffic.more(60)
                for name in ["-key.pem", ".pem"] {
                    let text = try String(contentsOfFile: bed.folder.path + "/next" + name, encoding: .utf8)
                    try bed.replace("server" + name, with: text)
                }
                try await bed.until("the next certificate") { await isNextServed() }
                await traffic.more(120)
            }
            #expect(Set(statuses.keys) == [202])
        }
    }

    @Test func `a skill's secret is replaced while Amazon takes both, and no message fails`() async throws {
        try await TestBed.run(skills: 1) { bed in
            let statuses = try await flow(bed, Current(TestBed.apiKey)) { traffic in
                await traffic.more(50)
                try await bed.setClientSecrets(["simulator-secret", "new-canary-secret"])
                try bed.replace("secret", with: "new-canary-secret")
                try await bed.until("a reload") { try await bed.reloads("success") > 0 }
                await traffic.more(50)
                try await bed.setClientSecrets(["new-canary-secret"])
                _ = try await bed.control("POST", "tokens/revoke")
                await traffic.more(100)
            }
            #expect(Set(statuses.keys) == [202])
        }
    }

    @Test func `a secret that Amazon replaced at once is in use as soon as its file is`() async throws {
        try await TestBed.run(skills: 1) { bed in
            var last = 0
            let statuses = try await flow(bed, Current(TestBed.apiKey)) { traffic in
                await traffic.more(50)
                try await bed.setClientSecrets(["new-canary-secret"])
                _ = try await bed.control("POST", "tokens/revoke")
                try await bed.untilMetric(
                    #"skillgate_token_fetches_total{skill="weather",result="invalid_client"}"#, is: 1)
                let start = ContinuousClock.now
                try bed.replace("secret", with: "new-canary-secret")
                repeat { last = try await bed.send("NA-1").status } while last != 202
                print("service was back \(ContinuousClock.now - start) after the file was replaced")
                await traffic.more(50)
            }
            // What could not be sent was refused by Amazon, and may be sent again.
            #expect(Set(statuses.keys).isSubset(of: [202, 403]))
            #expect(last == 202)
        }
    }

    // MARK: Reload

    /// Each kind of file that may not be taken over.
    private static let bad: [(old: String, new: String, reason: String)] = [
        ("skills:\n", "skils:\n", "unknown member `skils`"), ("{file: other-key}", "{file: gone}", "cannot read"),
        ("notice: 0s", "notice: 1s", "`drain` has changed, which requires a restart"),
        ("callers:\n", "callers: [\n", "not YAML"),
        ("listeners: [{address: 127.0.0.1:0}]", "listeners: [{address: 127.0.0.1:1}]", "`listeners` has changed"),
    ]

    @Test func `a hundred reloads under load, a third of them bad`() async throws {
        try await TestBed.run { bed in
            let original = try String(contentsOf: bed.folder.appendingPathComponent("skillgate.yaml"), encoding: .utf8)
            var good = original
            var key = ""
            let statuses = try await flow(bed, Current(TestBed.apiKey)) { traffic in
                for number in 0..<100 {
                    if number % 3 == 2 {
                        let bad = Self.bad[number / 3 % Self.bad.count]
                        #expect(good.contains(bad.old))
                        try await bed.load(
                            good.replacingOccurrences(of: bad.old, with: bad.new), result: "failure")
                        // What a process writes may come later than what it counts.
                        _ = try await bed.gateway.line(with: bad.reason)
                    } else {
                        key = "key-\(number)-canary-0123456789"
                        try TestBed.write(key, to: "key-\(number)", in: bed.folder)
                        good = original.replacingOccurrences(
                            of: "callers:\n",
                            with:
                                "callers:\n  - {name: c\(number % 7), apiKeys: [{file: key-\(number)}], skills: [weather]}\n"
                        )
                        try await bed.load(good)
                    }
                    #expect(try await bed.send("NA-1", key: key).status == 202, "after \(number)")
                    // After so many wrong attempts it is 429, too.
                    let first = try await bed.send("NA-1", key: "key-0-canary-0123456789").status
                    #expect(number == 0 ? first == 202 : [401, 429].contains(first), "after \(number)")
                    await traffic.more(5)
                }
            }
            #expect(Set(statuses.keys) == [202])
            let page = try await TestBed.transfer("GET", bed.adminURL + "/metrics").text
            #expect(
                page.contains(
                    #"messages_total{caller="c1",skill="weather",region="NA",status="202",source="upstream"}"#))
        }
    }

    @Test func `a skill that is added has a token first, and one that has none is not added`() async throws {
        try await TestBed.run(skills: 1) { bed in
            let yaml = try String(contentsOf: bed.folder.appendingPathComponent("skillgate.yaml"), encoding: .utf8)
            try TestBed.write("wrong-canary-secret", to: "wrong", in: bed.folder)
            func with(_ secret: String) -> String {
                yaml.replacingOccurrences(
                    of: "callers:\n",
                    with:
                        "  - {name: added, clientID: amzn1.application-oa2-client.simulator, clientSecret: {file: \(secret)}}\n"
                        + "callers:\n"
                ).replacingOccurrences(of: "skills: [weather]", with: "skills: [weather, added]")
            }
            try await bed.load(with("wrong"), result: "failure")
            _ = try await bed.gateway.line(with: "no access token for an added skill: invalid_client")
            #expect(try await TestBed.transfer("GET", bed.adminURL + "/readyz").status == 200)
            #expect(try await bed.send("NA-1").status == 202)
            try await bed.load(with("secret"))
            #expect(try await bed.send("NA-1", ["Gateway-Skill": "added", "Gateway-Region": "NA"]).status == 202)
            let ready = try await TestBed.transfer("GET", bed.adminURL + "/readyz")
            struct Ready: Decodable {
                var skills: [[String: String]]
            }
            let skills = try JSONDecoder().decode(Ready.self, from: Data(ready.content)).skills
            #expect(skills.contains(["skill": "added", "token": "valid"]))
        }
    }
}

extension TestBed {
    func setClientSecrets(_ secrets: [String]) async throws {
        let list = secrets.map { "\"\($0)\"" }.joined(separator: ",")
        let answer = try await control(
            "PUT", "clients/amzn1.application-oa2-client.simulator", "{\"secrets\":[\(list)]}")
        guard answer.status < 300 else { throw RunningProcess.Failure(description: answer.text) }
    }
}
