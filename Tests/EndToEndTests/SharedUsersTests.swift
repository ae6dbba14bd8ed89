import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// What one replica learns of users, the others know.
@Suite(.serialized) struct SharedUsersTests {
    private func withThree(
        _ more: String = "discovery: probe", _ body: (RedisProcess, [TestBed]) async throws -> Void
    ) async throws {
        let redis = try RedisProcess.plain()
        try await redis.start()
        do {
            try await TestBed.run(
                configuration: """
                    users: {shared: true}
                    idempotency: {store: redis, redis: {url: "redis://127.0.0.1:\(redis.port)", commandTimeout: 2s}}
                    \(more)
                    """, skills: 1
            ) { one in
                try await one.withReplica { two in
                    try await one.withReplica { three in
                        for bed in [one, two, three] { try await bed.untilStore(isUp: true) }
                        try await body(redis, [one, two, three])
                    }
                }
            }
        } catch {
            await redis.stop()
            throw error
        }
        await redis.stop()
    }

    private func put(_ user: String, _ region: String, at bed: TestBed) async throws -> HTTPTransfer.Response {
        try await TestBed.transfer(
            "PUT", "\(bed.url)/v1/users/amzn1.ask.account.\(user)/region",
            #"{"apiEndpoint":"\#(bed.simulatorURL)/\#(region.lowercased())"}"#,
            ["Authorization": "Bearer \(TestBed.apiKey)"])
    }

    /// Returns once Redis has been told: a region, `a` in front of it if Amazon has accepted a message there, or `g`.
    private func untilTold(_ redis: RedisProcess, _ value: String) async throws {
        while true {
            let keys = try redis.command("KEYS", "skillgate:*").split(separator: "\n").map(String.init)
            for key in keys where key.contains(":user:") || key.contains(":said:") {
                let told = try redis.command("GET", key)
                if value == "g" ? told.hasPrefix(value) : told.hasSuffix(value) { return }
            }
            await Task.yield()
        }
    }

    @Test func `a user is looked for once`() async throws {
        try await withThree { redis, beds in
            for (number, bed) in beds.enumerated() {
                let answer = try await bed.send("FE-1", [:])
                #expect(answer.status == 202 && answer.field("Gateway-Region") == "FE")
                if number == 0 { try await untilTold(redis, "aFE") }
            }
            // All three regions by the first, and the right one by the others.
            #expect(try await beds[0].counters().received == 5)
            try await beds[1].untilMetric(#"skillgate_regions_learned_total{how="replica"}"#, is: 1)
        }
    }

    @Test func `a user whom nobody knows is looked for once`() async throws {
        try await withThree { redis, beds in
            #expect(try await beds[0].send("gone-1", [:]).status == 404)
            try await untilTold(redis, "g")
            let received = try await beds[0].counters().received
            for bed in beds {
                #expect(try await bed.send("gone-1", [:]).status == 404)
                let gone = try await TestBed.transfer("GET", bed.adminURL + "/api/gone-users").text
                #expect(gone.contains("gone-1"))
            }
            #expect(try await beds[0].counters().received == received)
        }
    }

    @Test func `what somebody says reaches all, and what Amazon has accepted outranks it`() async throws {
        try await withThree("") { redis, beds in
            #expect(try await put("EU-1", "EU", at: beds[0]).status == 200)
            try await untilTold(redis, "EU")
            #expect(try await beds[1].send("EU-1", [:]).field("Gateway-Region") == "EU")
            try await untilTold(redis, "aEU")
            // To a replica that has not heard of the user yet.
            let said = try await put("EU-1", "FE", at: beds[2])
            #expect(said.text.contains("EU"))
            #expect(try await beds[2].send("EU-1", [:]).status == 202)
        }
    }

    @Test func `what turns out to be wrong is told, too`() async throws {
        try await withThree("") { redis, beds in
            #expect(try await put("EU-1", "FE", at: beds[0]).status == 200)
            try await untilTold(redis, "FE")
            #expect(try await beds[1].send("EU-1", [:]).status == 404)
            while try redis.command("KEYS", "skillgate:said:*") != "" { await Task.yield() }
            let answer = try await beds[2].send("EU-1", [:])
            #expect(answer.status == 400 && answer.text.contains("urn:skillgate:problem:region-unknown"))
        }
    }

    @Test func `who was gone and is said to live somewhere is looked for again`() async throws {
        try await withThree { redis, beds in
            #expect(try await beds[0].send("gone-1", [:]).status == 404)
            try await untilTold(redis, "g")
            #expect(try await put("gone-1", "EU", at: beds[1]).status == 200)
            while try redis.command("KEYS", "skillgate:user:*") != "" { await Task.yield() }
            let received = try await beds[0].counters().received
            #expect(try await beds[2].send("gone-1", [:]).status == 404)
            #expect(try await beds[0].counters().received == received + 3)
        }
    }

    @Test func `without Redis each learns for itself`() async throws {
        try await withThree { redis, beds in
            await redis.kill()
            for bed in beds {
                for _ in 0..<2 {
                    let answer = try await bed.send("FE-1", [:])
                    #expect(answer.field("Gateway-Region") == "FE")
                }
            }
            #expect(try await beds[0].counters().received == 12)
        }
    }
}
