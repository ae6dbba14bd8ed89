import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// HTTP/2 from callers, by clients that others have written.
@Suite(.serialized) struct HTTP2CallersTests {
    private struct Listeners {
        var bed: TestBed
        var securePort: Int
        var socket: String
    }

    private static let authorization = "Authorization: Bearer \(TestBed.apiKey)"
    private static let content = #"{"data":{"a":"canary-value"}}"#

    private static func listeners(http2: Bool, socket: String) -> String {
        "[{address: 127.0.0.1:0, http2: \(http2)}, "
            + "{address: 127.0.0.1:0, http2: \(http2), tls: {certificateChainFile: cert.pem, privateKeyFile: key.pem}}, "
            + "{address: 'unix:\(socket)', http2: \(http2)}]"
    }

    private func with(http2: Bool = true, _ configuration: String = "", _ body: (Listeners) async throws -> Void)
        async throws
    {
        // Short, since the path of a socket has to be.
        let socket = "/tmp/skillgate-\(UUID().uuidString.prefix(8)).sock"
        try await TestBed.run(
            configuration: configuration, listeners: Self.listeners(http2: http2, socket: socket),
            prepare: { try await Certificate.make(in: $0) }
        ) { bed in
            _ = try await bed.gateway.line(with: #""gateway.listener":"unix:"#)
            // The second address that it says.
            let addresses = bed.gateway.log.split(separator: "\n").filter { $0.contains(#""gateway.listener":"127"#) }
            let port = addresses.last?.split(separator: ":").last.flatMap { Int($0.prefix { $0.isNumber }) }
            try await body(Listeners(bed: bed, securePort: try #require(port), socket: socket))
        }
    }

    private func curl(_ arguments: [String], _ url: String) async throws -> String {
        let process = try RunningProcess(
            "/usr/bin/curl",
            ["-s", "-S", "-i", "-H", Self.authorization, "-H", "Gateway-Region: NA", "-d", Self.content]
                + arguments + [url])
        return await process.output()
    }

    @Test func `curl speaks it over TLS, without TLS and on a Unix socket, and the answers are the same`() async throws
    {
        try await with("accessLog: {file: access.log}") { listeners in
            let bed = listeners.bed
            let user = "/v1/skillmessages/users/amzn1.ask.account."
            let plain = "http://127.0.0.1:\(bed.port)\(user)"
            let certificate = bed.folder.path + "/cert.pem"
            let texts = [
                try await curl(["--http2-prior-knowledge"], plain + "NA-1"),
                try await curl(
                    ["--http2", "--cacert", certificate], "https://localhost:\(listeners.securePort)\(user)NA-2"),
                try await curl(
                    ["--http2-prior-knowledge", "--unix-socket", listeners.socket],
                    "http://localhost\(user)NA-3"),
                try await curl(["--http2-prior-knowledge", "-H", "Expect: 100-continue"], plain + "NA-4"),
            ]
            for text in texts {
                #expect(text.contains("HTTP/2 202") && text.contains("\nx-amzn-requestid: "), "\(text)")
            }
            #expect(texts[3].hasPrefix("HTTP/2 100"))
            let http1 = try await curl(["--http1.1"], plain + "GONE-1")
            let http2 = try await curl(["--http2-prior-knowledge"], plain + "GONE-1")
            #expect(http1.hasPrefix("HTTP/1.1 404 Not Found\n") && http2.hasPrefix("HTTP/2 404"))
            #expect(Self.comparable(http1) == Self.comparable(http2))
            #expect(Set(try await bed.acceptedMessages().map(\.userId)).count == 4)
            let refused = try await curl(
                ["--http2-prior-knowledge", "-H", "Expect: 100-continue", "-H", "Authorization: Bearer x"],
                plain + "NA-1")
            #expect(refused.contains("HTTP/2 401") && refused.contains("not-authenticated"), "\(refused)")
            let head = try RunningProcess(
                "/usr/bin/curl", ["-s", "-I", "--http2-prior-knowledge", bed.url + "/nowhere"])
            #expect(await head.output().hasPrefix("HTTP/2 404"))
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
            let log = try String(contentsOf: bed.folder.appendingPathComponent("access.log"), encoding: .utf8)
            let lines = log.split(separator: "\n")
            #expect(lines.filter { $0.contains(#""protocol":"h2""#) }.count == 7)
            #expect(lines.filter { $0.contains(#""protocol":"http/1.1""#) }.count == 1)
        }
    }

    /// Fields and content, without what is different in each answer.
    private static func comparable(_ text: String) -> [String] {
        text.split(separator: "\n").dropFirst()
            .map { line in
                let parts = line.split(separator: ":", maxSplits: 1)
                return parts.count == 2 ? "\(parts[0].lowercased()):\(parts[1])" : String(line)
            }
            .filter { !$0.hasPrefix("x-request-id") && !$0.hasPrefix("x-amzn") && !$0.hasPrefix("date") }
    }

    @Test func `nghttp and h2load get an answer to each request, and no message is doubled`() async throws {
        try await with { listeners in
            let bed = listeners.bed
            try Self.content.write(
                to: bed.folder.appendingPathComponent("message.json"), atomically: true, encoding: .utf8)
            let fields = [
                "-d", bed.folder.path + "/message.json", "-H", Self.authorization, "-H", "gateway-region: NA",
                "-H", "content-type: application/json",
            ]
            let path = "/v1/skillmessages/users/amzn1.ask.account.NA-1"
            let single = try RunningProcess("/usr/bin/nghttp", ["-v", "-m", "5"] + fields + [bed.url + path])
            let text = await single.output()
            #expect(text.components(separatedBy: ":status: 202").count - 1 == 5, "\(text)")
            for url in [bed.url, "https://localhost:\(listeners.securePort)"] {
                let load = try RunningProcess(
                    "/usr/bin/h2load", ["-n", "2000", "-c", "4", "-m", "50"] + fields + [url + path])
                let report = await load.output()
                #expect(report.contains("2000 done, 2000 succeeded, 0 failed, 0 errored"), "\(report)")
            }
            #expect(try await bed.counters().accepted == 4005)
        }
    }

    @Test(arguments: ["interleaved", "windows"])
    func `h2 of Python gets its answers, whatever it does with contents and windows`(_ kind: String) async throws {
        try await TestBed.run { bed in
            let caller = try RunningProcess.python("http2_caller.py", [String(bed.port), TestBed.apiKey, kind])
            let text = await caller.output()
            #expect(await caller.exitStatus() == 0, "\(text)")
            try await bed.untilMetric("skillgate_http2_streams", is: 0)
            // What was given up was sent all the same, once.
            let counters = try await bed.counters()
            if kind == "interleaved" { #expect((81...90).contains(counters.accepted)) }
            let keys = try await bed.acceptedMessages().map(\.userId)
            #expect(Set(keys).count == keys.count)
        }
    }

    @Test func `requests in flight are answered when the gateway ends, and only then is the end announced`()
        async throws
    {
        try await TestBed.run(faults: #"{"NA": {"latencyMilliseconds": 1500}}"#) { bed in
            let caller = try RunningProcess.python("http2_caller.py", [String(bed.port), TestBed.apiKey, "drain"])
            _ = try await caller.line(with: "sent")
            try await bed.untilMessagesInFlight(20)
            bed.gateway.signal(SIGTERM)
            #expect(await caller.exitStatus() == 0, "\(caller.log)")
            #expect(await bed.gateway.exitStatus() == 0)
            #expect(try await bed.counters().accepted == 20)
        }
    }

    @Test func `connections that are never idle end together, whatever event loop they are on`() async throws {
        try await TestBed.run(
            configuration: "eventLoops: 4", faults: #"{"NA": {"latencyMilliseconds": 20}}"#,
            environment: ["SKILLGATE_DRAIN_TIMEOUT": "10s"]
        ) { bed in
            try Self.content.write(
                to: bed.folder.appendingPathComponent("message.json"), atomically: true, encoding: .utf8)
            let load = try RunningProcess(
                "/usr/bin/h2load",
                [
                    "-n", "1000000", "-c", "16", "-m", "2", "-d", bed.folder.path + "/message.json", "-H",
                    Self.authorization, "-H", "gateway-region: NA", "-H", "content-type: application/json",
                    bed.url + "/v1/skillmessages/users/amzn1.ask.account.NA-1",
                ])
            defer { load.signal(SIGKILL) }
            try await bed.until("a load") { try await bed.counters().accepted > 500 }
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
            #expect(bed.gateway.log.contains("drained: all messages answered"), "\(bed.gateway.log.suffix(2000))")
        }
    }

    @Test func `where it is turned off, nobody gets it`() async throws {
        try await with(http2: false) { listeners in
            let bed = listeners.bed
            let path = "/v1/skillmessages/users/amzn1.ask.account.NA-1"
            let certificate = bed.folder.path + "/cert.pem"
            let negotiated = try await curl(
                ["--http2", "--cacert", certificate], "https://localhost:\(listeners.securePort)\(path)")
            #expect(negotiated.hasPrefix("HTTP/1.1 202"), "\(negotiated)")
            let known = try await curl(["--http2-prior-knowledge"], bed.url + path)
            #expect(!known.contains("202"), "\(known)")
        }
    }

    @Test(arguments: [
        "rapid-reset", "made-you-reset", "continuation", "empty-continuation", "header-bomb", "zero-windows",
        "unfinished",
        "settings", "ping", "priority", "window-update", "empty-data", "unread",
    ])
    func `a flood ends its connection, takes no memory, and nobody else notices`(_ kind: String) async throws {
        try await TestBed.run(configuration: "eventLoops: 1") { bed in
            #expect(try await bed.send("NA-1").status == 202)
            let before = try await bed.residentBytes()
            let flood = try RunningProcess.python("http2_flood.py", [String(bed.port), kind, "5", "20"])
            #expect(try await bed.send("NA-2").status == 202)
            let text = await flood.output()
            #expect(text.contains("\(kind): 5 of 5 connections ended"), "\(text)")
            #expect(try await bed.send("NA-3").status == 202)
            #expect(try await bed.residentBytes() - before < 24 << 20)
            try await bed.untilMetric("skillgate_http2_streams", is: 0)
            try await bed.untilMetric("skillgate_http2_floods_total", is: 5)
        }
    }
}
