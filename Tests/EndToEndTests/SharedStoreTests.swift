import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// Several gateways that share a Redis.
@Suite(.serialized) struct SharedStoreTests {
    private func with(
        _ redis: RedisProcess, _ members: String = "", retention: String = "24h", _ body: (TestBed) async throws -> Void
    ) async throws {
        try await redis.start()
        do {
            try await TestBed.run(
                configuration: """
                    idempotency:
                      store: redis
                      retention: \(retention)
                      redis: {url: "redis://127.0.0.1:\(redis.port)"\(members)}
                    """, skills: 1
            ) { bed in
                try await bed.untilStore(isUp: true)
                try await body(bed)
            }
        } catch {
            await redis.stop()
            throw error
        }
        await redis.stop()
    }

    /// `TEST_KEYS=200` for the run at length.
    private static let keys = ProcessInfo.processInfo.environment["TEST_KEYS"].flatMap { Int($0) } ?? 5

    @Test func `a thousand callers at once with one key, over three replicas: one message`() async throws {
        // A busy machine may take its time: what counts here is how often the message is sent.
        try await with(RedisProcess.plain(), ", commandTimeout: 5s") { one in
            try await one.setFaults(#"{"NA": {"latencyMilliseconds": 100}}"#)
            try await one.withReplica { two in
                try await one.withReplica { three in
                    for bed in [two, three] { try await bed.untilStore(isUp: true) }
                    for key in 0..<Self.keys {
                        let answers = try await sendAll([one, two, three], count: 1000) {
                            $0.request(user: "NA-1", idempotencyKey: "k-\(key)")
                        }
                        let statuses = Dictionary(grouping: answers, by: \.status).mapValues(\.count)
                        let refusals = Set(answers.filter { $0.status != 202 }.map(\.content))
                        #expect(statuses == [202: 1000], "\(refusals)")
                        #expect(answers.count { $0.field("Idempotent-Replayed") == "true" } == 999)
                        #expect(Set(answers.map { $0.field("X-Amzn-RequestId") }).count == 1)
                    }
                    #expect(try await one.counters().accepted == Self.keys)
                }
            }
        }
    }

    @Test(arguments: [202, 429])
    func `twenty consents at once, over three replicas, are one more attempt`(status: Int) async throws {
        try await with(RedisProcess.plain(), ", commandTimeout: 5s") { one in
            try await one.withReplica { two in
                try await one.withReplica { three in
                    for bed in [two, three] { try await bed.untilStore(isUp: true) }
                    try await one.setFaults(#"{"NA": {"connection": "resetAfterRead", "count": 1}}"#)
                    let first = try await sendAll([one], count: 1) { $0.request(user: "NA-1", idempotencyKey: "k") }
                    #expect(first.map(\.status) == [504])
                    // Long enough for all of them to come while the first is on its way.
                    let answer = status == 202 ? "" : #""status": 429, "#
                    try await one.setFaults(#"{"NA": {\#(answer)"latencyMilliseconds": 500}}"#)
                    let answers = try await sendAll([one, two, three], count: 20) {
                        $0.request(user: "NA-1", idempotencyKey: "k", fields: "Idempotency-Resend: ?1\r\n")
                    }
                    #expect(Set(answers.map(\.status)) == [status])
                    #expect(try await one.counters().received == 2)
                }
            }
        }
    }

    private func sendAll(
        _ beds: [TestBed], count: Int, _ request: @Sendable @escaping (TestBed) -> String
    ) async throws -> [RawConnection.Response] {
        try await withThrowingTaskGroup(of: RawConnection.Response?.self) { tasks in
            for number in 0..<count {
                let bed = beds[number % beds.count]
                tasks.addTask {
                    try await RawConnection.with(port: bed.port) { try await $0.exchange(request(bed)) }
                }
            }
            return try await tasks.reduce(into: []) { if let answer = $1 { $0.append(answer) } }
        }
    }

    @Test func `what one replica sent, another answers, even after the first has died`() async throws {
        try await with(RedisProcess.durable()) { one in
            let first = try await one.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": "k"])
            #expect(first.status == 202)
            one.gateway.signal(SIGKILL)
            try await one.withReplica { two in
                try await two.untilStore(isUp: true)
                let retry = try await two.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": "k"])
                #expect(retry.status == 202 && retry.field("Idempotent-Replayed") == "true")
                #expect(retry.field("X-Amzn-RequestId") == first.field("X-Amzn-RequestId"))
                let other = try await two.send("NA-2", ["Gateway-Region": "NA", "Idempotency-Key": "k"])
                #expect(other.status == 422)
                let id = first.field("X-Amzn-RequestId") ?? ""
                #expect(
                    try await two.report("k").hasPrefix(
                        #"{"state":"accepted","status":202,"region":"NA","requestId":"\#(id)","#))
                #expect(try await two.report("unheard-of") == #"{"state":"absent"}"#)
                #expect(try await two.counters().accepted == 1)
            }
        }
    }

    @Test func `without its store a gateway sends nothing that has a key, and goes on when it is back`() async throws {
        let redis = try RedisProcess.durable()
        try await with(redis) { bed in
            let fields = ["Gateway-Region": "NA", "Idempotency-Key": "k"]
            await redis.kill()
            let refused = try await bed.send("NA-1", fields)
            #expect(refused.status == 503 && refused.field("Retry-After") == "1")
            #expect(refused.text.contains("urn:skillgate:problem:store-unavailable"))
            #expect(try await bed.send("NA-1").status == 202)
            #expect(try await bed.counters().accepted == 1)
            #expect(
                try await TestBed.transfer(
                    "GET", "\(bed.url)/v1/idempotency-keys/k", "", ["Authorization": "Bearer \(TestBed.apiKey)"]
                ).status == 503)
            let ready = try await TestBed.transfer("GET", bed.adminURL + "/readyz")
            #expect(ready.status == 200 && ready.text.contains(#""store":{"#) && ready.text.contains(#""up":false"#))
            let metrics = try await TestBed.transfer("GET", bed.adminURL + "/metrics").text
            #expect(metrics.contains("\nskillgate_idempotency_store_up 0\n"))
            #expect(
                metrics.contains(
                    "skillgate_idempotency_begins_total{store=\"redis\",outcome=\"store_unavailable\"} 1\n"))
            #expect(metrics.contains("skillgate_idempotency_store_failures_total{operation=\"claim\"} 1\n"))
            try await redis.start()
            try await bed.untilStore(isUp: true)
            #expect(try await bed.send("NA-1", fields).status == 202)
        }
    }

    @Test func `told to forward, it sends, and says who deduplicates`() async throws {
        let redis = try RedisProcess.durable()
        try await with(redis, ", onStoreUnavailable: forward") { bed in
            let fields = ["Gateway-Region": "NA", "Idempotency-Key": "k"]
            await redis.kill()
            let first = try await bed.send("NA-1", fields)
            #expect(first.status == 202 && first.field("Gateway-Deduplication") == "replica")
            let retry = try await bed.send("NA-1", fields)
            #expect(retry.status == 202 && retry.field("Idempotent-Replayed") == "true")
            #expect(retry.field("Gateway-Deduplication") == "replica")
            let ready = try await TestBed.transfer("GET", bed.adminURL + "/readyz").text
            #expect(ready.contains("the idempotency store: outcomes that wait to be written to it: 1"))
            try await redis.start()
            try await bed.untilMetric("skillgate_idempotency_settlement_backlog", is: 0)
            let later = try await bed.send("NA-1", fields)
            #expect(later.status == 202 && later.field("Idempotent-Replayed") == "true")
            #expect(later.field("Gateway-Deduplication") == nil)
            #expect(try await bed.counters().accepted == 1)
        }
    }

    @Test func `told to forward, it does not send again what was in doubt when the store came back`() async throws {
        let redis = try RedisProcess.durable()
        try await with(redis, ", onStoreUnavailable: forward") { bed in
            let fields = ["Gateway-Region": "NA", "Idempotency-Key": "k"]
            await redis.kill()
            try await bed.setFaults(#"{"NA": {"connection": "resetAfterRead", "accept": true}}"#)
            #expect(try await bed.send("NA-1", fields).status == 504)
            try await bed.setFaults("{}")
            try await redis.start()
            try await bed.untilStore(isUp: true)
            for _ in 0..<2 { #expect(try await bed.send("NA-1", fields).status == 504) }
            try await bed.untilMetric("skillgate_idempotency_settlement_backlog", is: 0)
            // By then Redis knows it, too, and with it every replica.
            try await bed.withReplica { other in
                try await other.untilStore(isUp: true)
                #expect(try await other.send("NA-1", fields).status == 504)
            }
            #expect(try await bed.counters().accepted == 1)
            let consented = try await bed.send("NA-1", fields.merging(["Idempotency-Resend": "?1"]) { $1 })
            #expect(consented.status == 202)
        }
    }

    @Test func `what shuts down first settles what it owes`() async throws {
        let redis = try RedisProcess.durable()
        try await with(redis) { bed in
            try await bed.setFaults(#"{"NA": {"latencyMilliseconds": 400}}"#)
            async let answer = bed.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": "k"])
            // Written, so its record is held; a message in flight may still be waiting for one.
            try await bed.untilMetric(#"skillgate_upstream_attempts_total{region="NA",reason="first"}"#, is: 1)
            await redis.kill()
            #expect(try await answer.status == 202)
            try await redis.start()
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
            try await bed.withReplica { other in
                try await other.untilStore(isUp: true)
                #expect(try await other.report("k").hasPrefix(#"{"state":"accepted""#))
            }
        }
    }
}

extension TestBed {
    func untilStore(isUp: Bool) async throws {
        try await untilMetric("skillgate_idempotency_store_up", is: isUp ? 1 : 0)
    }
}
