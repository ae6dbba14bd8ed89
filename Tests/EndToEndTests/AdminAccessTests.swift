import Foundation
import GatewayCore
import TestSupport
import Testing
import TokenEndpointClient

/// What anybody gets at the admin listener, and what operators get.
@Suite(.serialized) struct AdminAccessTests {
    private static let key = "anna-canary-0123456789abcdef"
    private static let pages = ["/", "/api/status", "/api/gone-users", "/status.js", "/anything"]
    private static let forScrapers = ["/metrics", "/livez", "/readyz", "/version"]
    private static let verbs = ["/api/pause", "/api/resume", "/api/log-level", "/api/drain"]
    private static let operators = "operators: [{name: anna, keys: [{file: anna}]}]"
    private static let tls = "tls: {certificateChainFile: cert.pem, privateKeyFile: key.pem}"

    private func run(_ admin: String, _ body: (TestBed, _ url: String) async throws -> Void) async throws {
        try await TestBed.run(
            configuration: "audit: {file: audit.log}", admin: "{\(admin)}",
            prepare: {
                try await Certificate.make(in: $0)
                try TestBed.write(Self.key, to: "anna", in: $0)
            }
        ) { bed in
            let port = bed.adminURL.split(separator: ":").last ?? ""
            try await body(bed, admin.contains("tls:") ? "https://localhost:\(port)" : bed.adminURL)
        }
    }

    private func ask(
        _ method: String, _ url: String, _ fields: [String: String] = [:], content: String = "", in bed: TestBed
    ) async throws -> HTTPTransfer.Response {
        try await TestBed.transfer(method, url, content, fields, folder: bed.folder)
    }

    private func basic(_ name: String, _ key: String) -> [String: String] {
        ["Authorization": "Basic \(Data("\(name):\(key)".utf8).base64EncodedString())"]
    }

    private static let bearer = ["Authorization": "Bearer \(key)"]
    private static let json = bearer.merging(["Content-Type": "application/json"]) { $1 }

    @Test func `on another address anybody gets metrics and probes alone, where that is said`() async throws {
        try await run("address: 0.0.0.0:0, openTo: metrics") { bed, url in
            for path in Self.forScrapers { #expect(try await ask("GET", url + path, in: bed).status == 200, "\(path)") }
            for path in Self.pages {
                let answer = try await ask("GET", url + path, Self.bearer, in: bed)
                #expect(answer.status == 403 && answer.text.contains("admin.openTo"), "\(path)")
            }
            for path in Self.verbs {
                #expect(try await ask("POST", url + path, Self.json, content: "{}", in: bed).status == 403, "\(path)")
            }
        }
    }

    @Test(arguments: [("", 401), (", openTo: metrics", 200)])
    func `operators see everything over TLS, and others what is said`(openTo: String, status: Int) async throws {
        try await run("address: 0.0.0.0:0, \(Self.tls), \(Self.operators)\(openTo)") { bed, url in
            for path in Self.forScrapers {
                #expect(try await ask("GET", url + path, in: bed).status == status, "\(path)")
                #expect(try await ask("GET", url + path, Self.bearer, in: bed).status == 200, "\(path)")
            }
            for path in Self.pages.dropLast() {
                let answer = try await ask("GET", url + path, in: bed)
                #expect(answer.status == 401, "\(path)")
                #expect(answer.field("WWW-Authenticate")?.hasPrefix("Basic realm=") == true)
                #expect(try await ask("GET", url + path, Self.bearer, in: bed).status == 200, "\(path)")
                #expect(try await ask("GET", url + path, basic("anna", Self.key), in: bed).status == 200, "\(path)")
            }
            #expect(try await ask("GET", url + "/metrics", Self.bearer, in: bed).text.contains(#"{use="admin"}"#))
            let wrong = [
                basic("bert", Self.key), basic("anna", "x"), basic("", ""), ["Authorization": "Basic !"],
                ["Authorization": "Bearer \(Self.key)x"], ["Authorization": "Bearer"],
                ["Authorization": "Digest \(Self.key)"], ["Authorization": "Bearer \(TestBed.apiKey)"],
            ]
            let refusals = try await wrong.asyncMap { try await ask("GET", url + "/api/status", $0, in: bed) }
            #expect(Set(refusals.map(\.status)) == [401])
        }
    }

    @Test func `operators change something over TCP, no web page does, and it is audited`() async throws {
        try await run("address: 127.0.0.1:0, \(Self.operators)") { bed, url in
            #expect(try await ask("GET", url + "/api/status", in: bed).status == 200)
            let pause = (url + "/api/pause", #"{"skill":"weather"}"#)
            #expect(
                try await ask("POST", pause.0, ["Content-Type": "application/json"], content: pause.1, in: bed).status
                    == 401)
            for type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
                let fields = Self.bearer.merging(["Content-Type": type]) { $1 }
                #expect(try await ask("POST", pause.0, fields, content: pause.1, in: bed).status == 400, "\(type)")
            }
            let fromPage = Self.json.merging(["Origin": "http://127.0.0.1:1"]) { $1 }
            #expect(try await ask("POST", pause.0, fromPage, content: pause.1, in: bed).status == 403)
            #expect(try await ask("GET", pause.0, Self.json, in: bed).status == 405)
            #expect(try await bed.send("NA-1").status == 202)
            #expect(try await ask("POST", pause.0, Self.json, content: pause.1, in: bed).status == 200)
            #expect(try await bed.send("NA-1").status == 503)
            let resume = try RunningProcess(
                RunningProcess.skillgate,
                ["admin", "resume", "--all", "--admin", url, "--operator-key-file", bed.folder.path + "/anna"])
            #expect(await resume.exitStatus() == 0)
            #expect(try await bed.send("NA-1").status == 202)
            let audit = try String(contentsOf: bed.folder.appendingPathComponent("audit.log"), encoding: .utf8)
            #expect(
                audit.contains(
                    #""action":"pause","decision":"allowed","subject":"skill weather","authentication":"operator-key","operator":"anna","address":"127.0.0.1""#
                ))
        }
    }

    @Test func `commands come with a key, over TLS or to this machine alone`() async throws {
        try await run("address: 127.0.0.1:0, \(Self.tls), openTo: metrics, \(Self.operators)") { bed, url in
            let key = ["--operator-key-file", bed.folder.path + "/anna"]
            let authority = ["--admin-ca-file", bed.folder.path + "/cert.pem"]
            func status(_ arguments: [String]) async throws -> (Int32, String) {
                let process = try RunningProcess(RunningProcess.skillgate, ["admin", "status"] + arguments)
                let status = await process.exitStatus()
                return (status, await process.output() + process.log)
            }
            let allowed = try await status(["--admin", url] + key + authority)
            #expect(allowed.0 == 0 && allowed.1.contains(": ready"), "\(allowed.1)")
            #expect(try await status(["--admin", url] + key).0 == 69)
            let stranger = try await status(["--admin", url] + authority)
            #expect(stranger.0 == 69 && stranger.1.contains("expected the key of an operator"), "\(stranger.1)")
            // Nobody listens there, and nobody is asked.
            let inClear = try await status(["--admin", "http://192.0.2.1:9090"] + key)
            #expect(inClear.0 == 64 && inClear.1.contains("is not sent in clear"), "\(inClear.1)")

            let doctor = try RunningProcess(
                RunningProcess.skillgate,
                ["doctor", "--config", bed.folder.path + "/skillgate.yaml", "--admin", url] + key + authority)
            #expect(await doctor.exitStatus() == 0)
            #expect(await doctor.output().contains("gateway on "))
        }
    }

    @Test func `keys are reloaded`() async throws {
        try await run("address: 127.0.0.1:0, openTo: metrics, \(Self.operators)") { bed, url in
            #expect(try await ask("GET", url + "/api/status", Self.bearer, in: bed).status == 200)
            try TestBed.write("bert-canary-0123456789abcdef", to: "bert", in: bed.folder)
            try await bed.change("name: anna, keys: [{file: anna}]", to: "name: bert, keys: [{file: bert}]")
            #expect(try await ask("GET", url + "/api/status", Self.bearer, in: bed).status == 401)
            let other = ["Authorization": "Bearer bert-canary-0123456789abcdef"]
            #expect(try await ask("GET", url + "/api/status", other, in: bed).status == 200)
        }
    }

    @Test func `guessing is slowed down, and does not keep operators out`() async throws {
        try await run("address: 127.0.0.1:0, openTo: metrics, \(Self.operators)") { bed, url in
            var statuses: Set<Int> = []
            for _ in 0..<40 {
                let answer = try await ask("GET", url + "/api/status", ["Authorization": "Bearer wrong"], in: bed)
                statuses.insert(answer.status)
            }
            #expect(statuses == [401, 429])
            #expect(bed.gateway.log.contains("the key that was shown is no operator's"))
            #expect(try await ask("GET", url + "/api/status", Self.bearer, in: bed).status == 200)
        }
    }
}

extension Array {
    fileprivate func asyncMap<Result>(_ body: (Element) async throws -> Result) async throws -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try await body(element)) }
        return results
    }
}
