import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// Each row of the table of answers, seen from outside.
@Suite(.serialized) struct AnswersTableTests {
    private struct Problem: Decodable {
        var type: String
        var title: String
        var status: Int
        var detail: String
        var message: String
    }

    /// What every answer of the gateway's own has to be.
    private func expect(
        _ answer: HTTPTransfer.Response, is status: Int, _ type: String, mentions text: String = "",
        location: SourceLocation = #_sourceLocation
    ) throws {
        #expect(answer.status == status, sourceLocation: location)
        #expect(answer.field("Content-Type") == "application/problem+json", sourceLocation: location)
        #expect(answer.field("Proxy-Status")?.hasPrefix("skillgate; error=") == true, sourceLocation: location)
        let problem = try JSONDecoder().decode(Problem.self, from: Data(answer.content))
        #expect(problem.type == "urn:skillgate:problem:\(type)", sourceLocation: location)
        #expect(problem.status == status, sourceLocation: location)
        #expect(problem.message == problem.detail, sourceLocation: location)
        #expect(problem.detail.contains(text) || text.isEmpty, sourceLocation: location)
        #expect(!answer.text.contains(#""code""#), sourceLocation: location)
    }

    @Test func `Amazon's answers are passed on`() async throws {
        try await TestBed.run { bed in
            let accepted = try await bed.send("NA-1")
            #expect(accepted.status == 202)
            #expect(accepted.content.isEmpty)
            #expect(accepted.field("Gateway-Region") == "NA")
            let authority = bed.simulatorURL.replacingOccurrences(of: "http://", with: "")
            #expect(
                accepted.field("Proxy-Status")
                    == "skillgate; next-hop=\"\(authority)\"; received-status=202")
            let message = try #require(try await bed.acceptedMessages().first)
            #expect(accepted.field("X-Amzn-RequestId") == message.requestId)
            #expect(message.data == ["a": "canary-value"])
            for status in [400, 403, 404, 429, 500, 503, 418] {
                try await bed.setFaults(#"{"NA": {"status": \#(status), "retryAfter": 11}}"#)
                let answer = try await bed.send("NA-1")
                #expect(answer.status == status)
                #expect(answer.text == #"{"message":"simulated status \#(status)"}"#)
                #expect(answer.field("Content-Type") == "application/json")
                #expect(answer.field("Retry-After") == "11")
                #expect(answer.field("Proxy-Status")?.hasSuffix("received-status=\(status)") == true)
            }
            try await bed.setFaults(#"{"NA": {"status": 500, "body": "html"}}"#)
            #expect(try await bed.send("NA-1").text.hasPrefix(#"{"message":"<html>"#))
            try await bed.setFaults(#"{"NA": {"status": 404, "body": "empty"}}"#)
            #expect(try await bed.send("NA-1").text == #"{"message":""}"#)
        }
    }

    @Test func `a duplicate gets the first answer, other content under its key 422`() async throws {
        try await TestBed.run { bed in
            let fields = ["Gateway-Region": "NA", "Idempotency-Key": "\"k-1\""]
            let first = try await bed.send("NA-1", fields)
            #expect(first.field("Idempotent-Replayed") == nil)
            for key in ["\"k-1\"", "k-1"] {
                let again = try await bed.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": key])
                #expect(again.status == 202)
                #expect(again.field("Idempotent-Replayed") == "true")
                #expect(again.field("X-Amzn-RequestId") == first.field("X-Amzn-RequestId"))
                #expect(again.field("Gateway-Region") == "NA")
            }
            try expect(
                try await bed.send("NA-1", fields, content: #"{"data":{"a":"c"}}"#), is: 422, "idempotency-key-reused")
            try expect(try await bed.send("NA-2", fields), is: 422, "idempotency-key-reused")
            #expect(try await bed.counters().accepted == 1)
            // Another caller's key of the same name is another key.
            let other = try await bed.send(
                "EU-1", ["Gateway-Region": "EU", "Gateway-Skill": "weather", "Idempotency-Key": "k-1"],
                key: TestBed.otherKey)
            #expect(other.status == 202)
            #expect(other.field("Idempotent-Replayed") == nil)
        }
    }

    @Test func `a refused message is sent again under its key`() async throws {
        try await TestBed.run { bed in
            let fields = ["Gateway-Region": "NA", "Idempotency-Key": "k"]
            try await bed.setFaults(#"{"NA": {"status": 429, "count": 1}}"#)
            #expect(try await bed.send("NA-1", fields).status == 429)
            let again = try await bed.send("NA-1", fields)
            #expect(again.status == 202)
            #expect(again.field("Idempotent-Replayed") == nil)
        }
    }

    @Test func `a concurrent duplicate is refused where it is to be rejected`() async throws {
        try await TestBed.run(configuration: "idempotency: {concurrentDuplicates: reject}") { bed in
            try await bed.setFaults(#"{"NA": {"latencyMilliseconds": 700}}"#)
            let fields = ["Gateway-Region": "NA", "Idempotency-Key": "k"]
            async let one = bed.send("NA-1", fields)
            async let other = bed.send("NA-1", fields)
            let answers = try await [one, other].sorted { $0.status < $1.status }
            #expect(answers[0].status == 202)
            try expect(answers[1], is: 409, "idempotency-key-in-use")
            #expect(answers[1].field("Retry-After") != nil)
        }
    }

    @Test func `an unknown outcome is 504, is not sent again, and is with consent`() async throws {
        try await TestBed.run(configuration: "upstream: {deadline: 500ms}") { bed in
            let fields = ["Gateway-Region": "NA", "Idempotency-Key": "k"]
            try await bed.setFaults(#"{"NA": {"connection": "hang", "accept": true, "count": 1}}"#)
            let first = try await bed.send("NA-1", fields)
            try expect(first, is: 504, "outcome-unknown")
            #expect(first.field("Idempotent-Replayed") == nil)
            #expect(first.field("Proxy-Status")?.contains("error=connection_read_timeout") == true)
            let again = try await bed.send("NA-1", fields)
            try expect(again, is: 504, "outcome-unknown")
            #expect(again.field("Idempotent-Replayed") == "true")
            #expect(try await bed.counters().accepted == 1)
            var consent = fields
            consent["Idempotency-Resend"] = "?1"
            let resent = try await bed.send("NA-1", consent)
            #expect(resent.status == 202)
            #expect(try await bed.counters().accepted == 2)
            #expect(try await bed.send("NA-1", fields).field("Idempotent-Replayed") == "true")
            #expect(try await bed.counters().accepted == 2)
        }
    }

    @Test(arguments: [
        (#"{"NA": {"connection": "resetAfterRead"}}"#, "connection_terminated"),
        (#"{"NA": {"status": 502, "body": "html"}}"#, "http_response_incomplete"),
        (#"{"NA": {"status": 504}}"#, "http_response_incomplete"),
    ])
    func `a lost connection and an answer of Amazon's edge leave the outcome unknown`(
        faults: String, error: String
    ) async throws {
        try await TestBed.run { bed in
            try await bed.setFaults(faults)
            let answer = try await bed.send("NA-1")
            try expect(answer, is: 504, "outcome-unknown")
            #expect(answer.field("Proxy-Status")?.contains("error=\(error)") == true)
            #expect(try await bed.counters().received == 1)
        }
    }

    @Test func `who is not known gets 401, who may not 403, and nothing is sent`() async throws {
        try await TestBed.run { bed in
            for key in ["", "wrong-0123456789abcdef"] {
                let answer = try await bed.send("NA-1", key: key)
                try expect(answer, is: 401, "not-authenticated")
                #expect(answer.field("WWW-Authenticate") == "Bearer")
            }
            let basic = try await bed.send("NA-1", ["Authorization": "Basic eDp5"], key: "")
            try expect(basic, is: 401, "not-authenticated")
            let key = ["Idempotency-Key": "k"]
            let region = try await bed.send(
                "NA-1", key.merging(["Gateway-Region": "NA", "Gateway-Skill": "news"]) { $1 }, key: TestBed.otherKey)
            try expect(region, is: 403, "not-allowed", mentions: "NA")
            let fields = ["Gateway-Region": "NA", "X-Request-Id": "same"]
            let skill = try await bed.send("NA-1", fields.merging(["Gateway-Skill": "news"]) { $1 })
            try expect(skill, is: 403, "not-allowed")
            let unknown = try await bed.send("NA-1", fields.merging(["Gateway-Skill": "nothing"]) { $1 })
            #expect(unknown.content == skill.content)
            #expect(try await bed.counters().received == 0)
        }
    }

    @Test func `what is not valid is 400 and named`() async throws {
        try await TestBed.run { bed in
            func send(_ content: String) async throws -> HTTPTransfer.Response {
                try await bed.send("NA-1", content: content)
            }
            try expect(try await send("{"), is: 400, "message-invalid", mentions: "at byte 1")
            try expect(try await send("{}"), is: 400, "message-invalid", mentions: "`data`")
            let large = #"{"data":{"a":"\#(String(repeating: "x", count: 6137))"}}"#
            try expect(
                try await send(large), is: 400, "message-invalid", mentions: "6145 bytes as compact JSON, 1 more than")
            try expect(
                try await send(#"{"data":{},"expiresAfterSeconds":59}"#), is: 400, "message-invalid",
                mentions: "`expiresAfterSeconds` is 59")
            for (fields, type, text) in [
                ([:], "region-unknown", "Gateway-Region"),
                (["Gateway-Region": "XX"], "field-invalid", "Gateway-Region"),
                (["Gateway-Api-Endpoint": "https://example.org"], "field-invalid", "Gateway-Api-Endpoint"),
                (
                    ["Gateway-Region": "NA", "Gateway-Api-Endpoint": "https://api.eu.amazonalexa.com"], "field-invalid",
                    "EU"
                ),
                (["Gateway-Region": "NA", "Idempotency-Key": "\"x"], "idempotency-key-invalid", "quote"),
                (["Gateway-Region": "NA", "Idempotency-Resend": "yes"], "field-invalid", "Idempotency-Resend"),
                (["Gateway-Region": "NA", "Content-Encoding": "gzip"], "field-invalid", "Content-Encoding"),
            ] as [([String: String], String, String)] {
                try expect(try await bed.send("NA-1", fields), is: 400, type, mentions: text)
            }
            try expect(
                try await bed.send("NA-1", ["Gateway-Region": "EU"], key: TestBed.otherKey), is: 400, "skill-required")
            try expect(
                try await bed.send(
                    "NA-1", ["Gateway-Region": "EU", "Gateway-Skill": "weather"], key: TestBed.otherKey),
                is: 400, "idempotency-key-required")
            let user = try await bed.send(String(repeating: "u", count: 600))
            try expect(user, is: 400, "user-id-invalid", mentions: "more than")
            #expect(try await bed.counters().received == 0)
        }
    }

    @Test func `the region comes from the endpoint, the field or the skill's default`() async throws {
        try await TestBed.run { bed in
            for (fields, key, region) in [
                (["Gateway-Region": "eu"], TestBed.apiKey, "EU"),
                (["Gateway-Api-Endpoint": "https://api.fe.amazonalexa.com"], TestBed.apiKey, "FE"),
                (["Gateway-Api-Endpoint": "https://api.fe.amazon.com/"], TestBed.apiKey, "FE"),
                (["Gateway-Api-Endpoint": bed.simulatorURL + "/na", "Gateway-Region": "NA"], TestBed.apiKey, "NA"),
                (["Gateway-Skill": "news", "Idempotency-Key": "k"], TestBed.otherKey, "FE"),
            ] as [([String: String], String, String)] {
                let answer = try await bed.send("\(region)-1", fields, key: key)
                #expect(answer.status == 202)
                #expect(answer.field("Gateway-Region") == region)
            }
        }
    }

    @Test func `unknown paths and methods, and what is too large`() async throws {
        try await TestBed.run { bed in
            try expect(try await TestBed.transfer("POST", bed.url + "/v1/other"), is: 404, "not-found")
            try expect(try await bed.send("a/b"), is: 404, "not-found")
            let get = try await TestBed.transfer("GET", bed.url + "/v1/skillmessages/users/x")
            try expect(get, is: 405, "method-not-allowed")
            #expect(get.field("Allow") == "POST")
            let large = String(repeating: "x", count: 65 * 1024)
            try expect(try await bed.send("NA-1", content: large), is: 413, "content-too-large")
        }
    }

    @Test func `without a token, 503 and nothing is sent`() async throws {
        try await TestBed.run(secret: "wrong") { bed in
            let answer = try await bed.send("NA-1")
            try expect(answer, is: 503, "token-unavailable", mentions: "client id and secret")
            #expect(Int(answer.field("Retry-After") ?? "") != nil)
            #expect(try await bed.counters().received == 0)
            #expect(try await TestBed.transfer("GET", bed.adminURL + "/readyz").status == 503)
        }
    }

    @Test func `too many in flight, 503 and the rest goes on`() async throws {
        try await TestBed.run(configuration: "eventLoops: 1\nupstream: {maximumConnectionsPerRegion: 1}") { bed in
            #expect(try await bed.send("NA-1").status == 202)
            try await bed.setFaults(#"{"NA": {"latencyMilliseconds": 800}}"#)
            async let one = bed.send("NA-1")
            async let other = bed.send("NA-1")
            let answers = try await [one, other].sorted { $0.status < $1.status }
            #expect(answers[0].status == 202)
            try expect(answers[1], is: 503, "too-many-in-flight")
            #expect(answers[1].field("Retry-After") == "1")
        }
    }

    @Test func `a region that cannot be reached is 502, and the key stays free`() async throws {
        let closed = "http://127.0.0.1:1"
        let regions =
            "regions: {NA: {apiEndpoint: \(closed)}, EU: {apiEndpoint: \(closed)/eu}, FE: {apiEndpoint: \(closed)/fe}}"
        try await TestBed.run(regions: regions) { bed in
            for _ in 0..<2 {
                let answer = try await bed.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": "k"])
                try expect(answer, is: 502, "upstream-unreachable")
                #expect(answer.field("Proxy-Status")?.contains("error=connection_refused") == true)
            }
        }
    }

    @Test func `over TLS with a certificate the gateway was told to trust`() async throws {
        try await TestBed.run(tls: true) { bed in
            let answer = try await bed.send("NA-1")
            #expect(answer.status == 202)
        }
    }

    @Test func `a certificate it was not told to trust is 502 and gets no byte of a message`() async throws {
        try await TestBed.run(configuration: "upstream: {deadline: 5s}", tls: true) { bed in
            // The token endpoint has the same certificate, so there is no token either: nothing leaves.
            try expect(try await bed.send("NA-1"), is: 503, "token-unavailable", mentions: "cannot be reached")
            #expect(try await bed.counters().received == 0)
        }
    }
}
