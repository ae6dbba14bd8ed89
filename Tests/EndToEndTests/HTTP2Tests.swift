import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// HTTP/2 to the regions: what TLS has agreed on, and what is known of messages whose connection ends.
@Suite(.serialized) struct HTTP2Tests {
    private static func upstream(_ http2: String) -> String {
        "upstream: {trust: {caFile: cert.pem}, http2: '\(http2)', streamsPerConnection: 8}"
    }

    @Test(arguments: [("auto", "h2", "HTTP/2"), ("off", "http/1.1", "HTTP/1.1")])
    func `what TLS has agreed on is spoken, and callers see no difference`(
        http2: String, version: String, name: String
    ) async throws {
        try await TestBed.run(configuration: "eventLoops: 1\n" + Self.upstream(http2), tls: true) { bed in
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<300 {
                    group.addTask {
                        try await bed.send("NA-\(number)", ["Gateway-Region": "NA", "Idempotency-Key": "k-\(number)"])
                            .status
                    }
                }
                return try await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
            }
            #expect(statuses == [202: 300])
            #expect(Set(try await bed.acceptedMessages().map(\.userId)).count == 300)
            let answer = try await bed.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": "k-1"])
            #expect(answer.field("Idempotent-Replayed") == "true" && answer.field("X-Amzn-RequestId") != nil)
            #expect(try await bed.send("GONE-1").status == 404)
            try await bed.setFaults(#"{"NA": {"status": 429, "retryAfter": 7}}"#)
            let throttled = try await bed.send("NA-1")
            #expect(
                throttled.status == 429 && throttled.field("Retry-After") == "7" && throttled.text.contains("simulated")
            )
            let page = try await TestBed.transfer("GET", bed.adminURL + "/metrics").text
            for protocolName in ["h2", "http/1.1"] {
                let sample =
                    #"skillgate_upstream_connections_established_total{region="NA",protocol="\#(protocolName)"} "#
                #expect(page.contains(sample + "0\n") == (protocolName != version))
            }
            let doctor = try RunningProcess(
                RunningProcess.skillgate, ["doctor", "--config", bed.folder.path + "/skillgate.yaml"])
            let text = await doctor.output()
            #expect(text.contains("region NA for skill weather: ") && text.contains(" over \(name); "), "\(text)")
        }
    }

    @Test(arguments: ["auto", "off"])
    func `a region that resets or says nothing is in doubt in both protocols`(http2: String) async throws {
        let configuration =
            "upstream: {trust: {caFile: cert.pem}, http2: '\(http2)', deadline: 1s, circuitBreaker: false}"
        try await TestBed.run(configuration: configuration, tls: true) { bed in
            for (number, fault) in [
                #"{"NA": {"connection": "resetAfterRead", "accept": true}}"#,
                #"{"NA": {"connection": "hang", "accept": true}}"#,
            ].enumerated() {
                try await bed.setFaults(fault)
                let fields = ["Gateway-Region": "NA", "Idempotency-Key": "k-\(number)"]
                #expect(try await bed.send("NA-\(number)", fields).status == 504)
                try await bed.setFaults("{}")
                let retry = try await bed.send("NA-\(number)", fields)
                #expect(retry.status == 504 && retry.field("Idempotent-Replayed") == "true")
                #expect(try await bed.acceptedMessages().count == number + 1)
            }
        }
    }

    // MARK: Cut

    private func with(_ body: (TestBed, CuttingHTTP2Server) async throws -> Void) async throws {
        let server = try CuttingHTTP2Server()
        defer { server.stop() }
        // Hundreds of failures in a row are the purpose here.
        try await TestBed.run(
            configuration: "upstream: {circuitBreaker: false, http2: 'on'}",
            regions: "regions: {NA: {apiEndpoint: http://127.0.0.1:\(server.port)}}"
        ) { bed in
            try await body(bed, server)
        }
    }

    /// Sends one message, and its retry.
    private func sendTwice(
        _ bed: TestBed, _ key: String
    ) async throws -> (first: Int, retry: Int, isReplay: Bool) {
        let request = bed.request(user: "NA-1", idempotencyKey: key)
        let (first, retry) = try await RawConnection.with(port: bed.port) { connection in
            (try await connection.exchange(request), try await connection.exchange(request))
        }
        return (first?.status ?? 0, retry?.status ?? 0, retry?.field("Idempotent-Replayed") == "true")
    }

    @Test func `after each byte of the request, the outcome is unknown and nothing is sent again`() async throws {
        try await with { bed, server in
            server.cut(.answer(CuttingHTTP2Server.accepted))
            #expect(try await bed.send("NA-1").status == 202)
            let length = server.lastRequestLength
            #expect(length > 200)
            for offset in 0...length {
                server.cut(.request(after: offset))
                let before = server.requests
                let outcome = try await sendTwice(bed, "r-\(offset)")
                #expect(outcome == (504, 504, true) && server.requests == before + 1, "after \(offset) bytes")
            }
        }
    }

    @Test(arguments: [(CuttingHTTP2Server.accepted, 202, "accepted"), (CuttingHTTP2Server.refused, 400, "absent")])
    func `after each byte of the answer, too, until its status is known`(
        answer: [UInt8], status: Int, state: String
    ) async throws {
        try await with { bed, server in
            let headLength = 9 + Int(answer[2])
            for offset in 0...answer.count {
                server.cut(.answer(Array(answer.prefix(offset))))
                let outcome = try await sendTwice(bed, "a-\(offset)")
                let isKnown = offset >= headLength
                #expect(
                    outcome == (isKnown ? (status, status, state == "accepted") : (504, 504, true)),
                    "after \(offset) bytes")
                #expect(try await bed.report("a-\(offset)").contains(#""state":"\#(isKnown ? state : "unknown")""#))
            }
        }
    }

    /// RFC 9113 section 8.7.
    @Test func `what was provably not processed is sent again once, and everything else is in doubt`() async throws {
        typealias Server = CuttingHTTP2Server
        let head = Server.headers([], status: 202, ends: false)
        let rows: [(name: String, first: [UInt8], second: [UInt8], status: Int, requests: Int)] = [
            ("the connection drains before the request", Server.goAway(last: 0), Server.accepted, 202, 2),
            ("the stream is refused", Server.reset(0x7) + Server.goAway(last: 1), Server.accepted, 202, 2),
            ("neither is processed", Server.goAway(last: 0), Server.reset(0x7), 502, 2),
            ("it is processed and lost", Server.goAway(last: 1), Server.accepted, 504, 1),
            ("it is processed and answered", Server.goAway(last: 1) + Server.accepted, [], 202, 1),
            ("the first of two goodbyes", Server.goAway(last: 255) + Server.goAway(last: 0), Server.accepted, 202, 2),
            ("the stream is reset", Server.reset(0x2), Server.accepted, 504, 1),
            ("the stream is cancelled", Server.reset(0x8), Server.accepted, 504, 1),
            ("it is refused once its status is known", head + Server.reset(0x7), Server.accepted, 202, 1),
            ("not processed, then lost", Server.goAway(last: 0), [], 504, 2),
        ]
        try await with { bed, server in
            for (number, row) in rows.enumerated() {
                server.cut(.answer(row.first), .answer(row.second))
                let before = server.requests
                let request = bed.request(user: "NA-1", idempotencyKey: "p-\(number)")
                let answer = try await RawConnection.with(port: bed.port) { try await $0.exchange(request) }
                #expect(answer?.status == row.status && server.requests == before + row.requests, "\(row.name)")
                let state = [202: "accepted", 502: "absent"][row.status] ?? "unknown"
                #expect(try await bed.report("p-\(number)").contains(#""state":"\#(state)""#), "\(row.name)")
            }
            try await bed.untilMetric(#"skillgate_upstream_attempts_total{region="NA",reason="not_processed"}"#, is: 5)
        }
    }
}
