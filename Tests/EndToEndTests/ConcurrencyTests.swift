import Foundation
import Testing
import TokenEndpointClient

/// A thousand at once.
@Suite(.serialized) struct ConcurrencyTests {
    private static let count = 1_000
    private static let written = #"skillgate_upstream_attempts_total{region="NA",reason="first"}"#
    private static let wide = "upstream: {maximumConnectionsPerRegion: 1000}"

    /// Sends one message on each of a thousand connections that are open at the same time.
    private func sendAll(
        _ bed: TestBed, _ request: @Sendable @escaping (Int) -> String
    ) async throws -> [RawConnection.Response] {
        try await withThrowingTaskGroup(of: RawConnection.Response?.self) { tasks in
            for number in 0..<Self.count {
                tasks.addTask {
                    try await RawConnection.with(port: bed.port) { try await $0.exchange(request(number)) }
                }
            }
            return try await tasks.reduce(into: []) { if let answer = $1 { $0.append(answer) } }
        }
    }

    @Test func `a thousand first messages on a cold gateway: one token fetch`() async throws {
        try await TestBed.run(configuration: Self.wide, faults: #"{"token": {"latencyMilliseconds": 1000}}"#, skills: 1)
        { bed in
            let answers = try await sendAll(bed) { bed.request(user: "NA-\($0)") }
            #expect(answers.count(where: { $0.status == 202 }) == Self.count)
            let counters = try await bed.counters()
            #expect(counters.tokenFetches == 1)
            #expect(counters.accepted == Self.count)
        }
    }

    @Test func `a thousand in flight when the tokens are revoked: one more fetch, none twice`() async throws {
        try await TestBed.run(configuration: Self.wide, skills: 1) { bed in
            #expect(try await bed.send("NA-0").status == 202)
            try await bed.setFaults(#"{"NA": {"latencyMilliseconds": 4000, "count": \#(Self.count)}}"#)
            async let sending = sendAll(bed) { bed.request(user: "NA-\($0)", idempotencyKey: "k-\($0)") }
            // All of them are on their way to Amazon.
            try await bed.untilMetric(Self.written, is: Self.count + 1)
            _ = try await bed.control("POST", "tokens/revoke")
            let answers = try await sending
            #expect(answers.count(where: { $0.status == 202 }) == Self.count)
            let counters = try await bed.counters()
            #expect(counters.tokenFetches == 2)
            #expect(counters.accepted == Self.count + 1)
            #expect(counters.messages["NA"]?.refused["403"] == Self.count)
        }
    }

    @Test func `a thousand at once with one key: one message, a thousand times its answer`() async throws {
        try await TestBed.run(configuration: Self.wide) { bed in
            try await bed.setFaults(#"{"NA": {"latencyMilliseconds": 1000}}"#)
            let answers = try await sendAll(bed) { _ in bed.request(user: "NA-1", idempotencyKey: "k") }
            #expect(answers.count(where: { $0.status == 202 }) == Self.count)
            #expect(answers.count(where: { $0.field("Idempotent-Replayed") == "true" }) == Self.count - 1)
            #expect(Set(answers.map { $0.field("X-Amzn-RequestId") }).count == 1)
            #expect(try await bed.counters().accepted == 1)
        }
    }

    @Test func `a thousand equal messages at once without a key: one message, a thousand times its answer`()
        async throws
    {
        let key = "plain-canary-0123456789"
        try await TestBed.run(
            configuration: Self.wide,
            callers:
                "  - {name: plain, apiKeys: [{file: plain-key}], skills: [weather], idempotencyKeyFrom: [content]}",
            prepare: { try TestBed.write(key, to: "plain-key", in: $0) }
        ) { bed in
            try await bed.setFaults(#"{"NA": {"latencyMilliseconds": 1000}}"#)
            let answers = try await sendAll(bed) { _ in bed.request(user: "NA-1", authorization: "Bearer \(key)") }
            #expect(answers.count(where: { $0.status == 202 }) == Self.count)
            #expect(Set(answers.map { $0.field("X-Amzn-RequestId") }).count == 1)
            #expect(try await bed.counters().accepted == 1)
            try await bed.untilMetric(#"skillgate_idempotency_keys_total{source="content"}"#, is: Self.count)
        }
    }

    @Test func `a caller that hangs up does not stop its message, and its retry is a replay`() async throws {
        try await TestBed.run { bed in
            try await bed.setFaults(#"{"NA": {"latencyMilliseconds": 500}}"#)
            try await RawConnection.with(port: bed.port) { connection in
                try await connection.send(bed.request(user: "NA-1", idempotencyKey: "k"))
                try await bed.untilMessagesInFlight(1)
            }
            let retry = try await RawConnection.with(port: bed.port) {
                try await $0.exchange(bed.request(user: "NA-1", idempotencyKey: "k"))
            }
            #expect(retry?.status == 202)
            #expect(retry?.field("Idempotent-Replayed") == "true")
            #expect(try await bed.counters().accepted == 1)
        }
    }
}
