import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// A caller's rate that counts over all replicas.
@Suite(.serialized) struct DeploymentRateTests {
    private static let key = "eager-canary-0123456789"

    private func with(
        rate: String, _ body: (TestBed, RedisProcess) async throws -> Void
    ) async throws {
        let redis = try RedisProcess.plain()
        try await redis.start()
        do {
            try await TestBed.run(
                configuration:
                    "idempotency: {store: redis, redis: {url: 'redis://127.0.0.1:\(redis.port)', commandTimeout: 2s}}",
                callers:
                    "  - {name: eager, apiKeys: [{file: eager-key}], skills: [weather], rate: {\(rate), scope: deployment}}",
                prepare: { try TestBed.write(Self.key, to: "eager-key", in: $0) }
            ) { bed in
                try await bed.untilStore(isUp: true)
                try await body(bed, redis)
            }
        } catch {
            await redis.stop()
            throw error
        }
        await redis.stop()
    }

    /// The answers to so many messages at once, in turns to these replicas.
    private func send(_ count: Int, to beds: [TestBed]) async throws -> [RawConnection.Response] {
        try await withThrowingTaskGroup(of: RawConnection.Response?.self) { tasks in
            for number in 0..<count {
                let bed = beds[number % beds.count]
                tasks.addTask {
                    try await RawConnection.with(port: bed.port) {
                        try await $0.exchange(bed.request(user: "NA-\(number)", authorization: "Bearer \(Self.key)"))
                    }
                }
            }
            return try await tasks.reduce(into: []) { if let answer = $1 { $0.append(answer) } }
        }
    }

    private func value(_ metric: String, of bed: TestBed) async throws -> Int? {
        let page = try await TestBed.transfer("GET", bed.adminURL + "/metrics").text
        let line = page.split(separator: "\n").first { $0.hasPrefix(metric + " ") }
        return line.flatMap { Int($0.dropFirst(metric.count + 1)) }
    }

    @Test func `replicas let through together what one may`() async throws {
        try await with(rate: "perSecond: 1, burst: 20") { one, _ in
            try await one.withReplica { two in
                try await two.untilStore(isUp: true)
                let clock = ContinuousClock()
                let start = clock.now
                let answers = try await send(60, to: [one, two])
                let accepted = answers.count { $0.status == 202 }
                // One more for each second that it took.
                let later = Int((clock.now - start) / .seconds(1)) + 1
                #expect((20...20 + later).contains(accepted))
                let refused = answers.filter { $0.status != 202 }
                #expect(Set(refused.map(\.status)) == [429])
                let answer = try #require(refused.first)
                #expect(answer.content.contains("urn:skillgate:problem:caller-rate"))
                #expect(answer.field("Retry-After").flatMap { Int($0) } ?? 0 > 0)
                #expect(answer.field("RateLimit-Policy") == #""requests";q=20;w=20"#)
                #expect(answer.field("RateLimit")?.hasPrefix(#""requests";r=0;t="#) == true)
                #expect(try await one.counters().accepted == accepted)
                #expect(try await value("skillgate_rate_replicas", of: two) == 2)
                #expect(try await value("skillgate_rate_share_requests_total", of: two) == 0)
            }
        }
    }

    @Test func `without Redis a replica goes on with its share, and is back under the common rate afterwards`()
        async throws
    {
        try await with(rate: "perSecond: 500, burst: 50") { bed, redis in
            #expect(try await send(10, to: [bed]).allSatisfy { $0.status == 202 })
            await redis.kill()
            // The lease at hand is used up first; from then on its share counts.
            var byShare = 0
            while byShare == 0 {
                let statuses = Set(try await send(20, to: [bed]).map(\.status))
                #expect(statuses.isSubset(of: [202, 429]))
                byShare = try await value("skillgate_rate_share_requests_total", of: bed) ?? 0
            }
            #expect(bed.gateway.log.contains("this one goes by its share"))
            try await redis.start()
            let leases = #"skillgate_rate_leases_total{result="success"}"#
            let before = try await value(leases, of: bed) ?? 0
            while try await value(leases, of: bed) == before { await Task.yield() }
            #expect(try await send(1, to: [bed]).map(\.status) == [202])
        }
    }
}
