import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// Five bad nights: what an operator sees first names the cause, and is gone when it is over.
@Suite(.serialized) struct IncidentTests {
    private struct Readiness: Decodable {
        var state: String
        var reasons: [String]
    }

    private func readiness(_ bed: TestBed) async throws -> Readiness {
        let answer = try await TestBed.transfer("GET", bed.adminURL + "/readyz")
        return try JSONDecoder().decode(Readiness.self, from: Data(answer.content))
    }

    /// Asks until `/readyz` says it; the status page and the metric say the same. `meanwhile` is done between the questions.
    private func untilDegraded(
        _ bed: TestBed, by reason: String, meanwhile: () async throws -> Void = {}
    ) async throws {
        let end = ContinuousClock.now + .seconds(20)
        var seen = try await readiness(bed)
        while ContinuousClock.now < end, !seen.reasons.contains(where: { $0.contains(reason) }) {
            try await meanwhile()
            seen = try await readiness(bed)
        }
        #expect(seen.state == "degraded" && seen.reasons.contains { $0.contains(reason) }, "\(seen)")
        let page = try await TestBed.transfer("GET", bed.adminURL + "/api/status")
        #expect(page.text.contains(#""state":"degraded""#) && page.text.contains(reason), "\(page.text.prefix(2000))")
        try await bed.untilMetric(#"skillgate_state{state="degraded"}"#, is: 1)
    }

    @Test func `the secret was changed at Amazon, and the tokens were revoked`() async throws {
        try await TestBed.run { bed in
            #expect(try await bed.send("NA-1", ["Gateway-Region": "NA"]).status == 202)
            _ = try await bed.control(
                "PUT", "clients/amzn1.application-oa2-client.simulator", #"{"secrets": ["another"]}"#)
            _ = try await bed.control("POST", "tokens/revoke")
            try await untilDegraded(bed, by: "% of the messages to region NA fail, most with 403") {
                _ = try await bed.send("NA-1", ["Gateway-Region": "NA"])
            }
            #expect(bed.gateway.log.contains("no access token was fetched"))
            #expect(bed.gateway.log.contains("invalid_client"))
            #expect(bed.gateway.log.contains("Amazon did not accept a message"))
        }
    }

    @Test func `a region hangs`() async throws {
        try await TestBed.run(
            configuration: "upstream: {deadline: 400ms}", faults: #"{"EU": {"connection": "hang"}}"#
        ) { bed in
            try await untilDegraded(bed, by: "region EU does not answer") {
                _ = try await bed.send("EU-1", ["Gateway-Region": "EU"])
            }
            let log = bed.gateway.log
            #expect(log.contains("a message was sent, and whether it was accepted is not known"))
            #expect(!log.contains(#""message":"a message was not sent","#) || log.contains("circuit-open"))
            try await bed.setFaults("{}")
            let end = ContinuousClock.now + .seconds(20)
            while ContinuousClock.now < end, try await readiness(bed).state != "ready" {
                _ = try await bed.send("EU-1", ["Gateway-Region": "EU"])
            }
            #expect(try await readiness(bed).reasons.filter { $0.contains("does not answer") }.isEmpty)
        }
    }

    @Test func `the token endpoint is out of order at the start`() async throws {
        try await TestBed.run(faults: #"{"token": {"status": 503}}"#) { bed in
            let end = ContinuousClock.now + .seconds(20)
            var seen = try await readiness(bed)
            while ContinuousClock.now < end, !seen.reasons.contains(where: { $0.contains("503") }) {
                seen = try await readiness(bed)
            }
            #expect(seen.state == "not ready")
            #expect(seen.reasons.first?.contains("skill weather has no valid token: ") == true, "\(seen)")
        }
    }

    @Test func `Redis is killed`() async throws {
        let redis = try RedisProcess.durable()
        try await redis.start()
        let configuration = "idempotency: {store: redis, redis: {url: \"redis://127.0.0.1:\(redis.port)\"}}"
        do {
            try await TestBed.run(configuration: configuration) { bed in
                try await bed.untilStore(isUp: true)
                #expect(try await readiness(bed).state == "ready")
                await redis.kill()
                try await untilDegraded(bed, by: "the idempotency store cannot be reached")
                #expect(bed.gateway.log.contains("the idempotency store cannot be reached"))
                let refused = try await bed.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": "k"])
                #expect(refused.status == 503)
                try await redis.start()
                try await bed.untilMetric(#"skillgate_state{state="ready"}"#, is: 1)
            }
        } catch {
            await redis.stop()
            throw error
        }
        await redis.stop()
    }

    @Test func `a storm of 429`() async throws {
        try await TestBed.run(faults: #"{"NA": {"status": 429}}"#) { bed in
            try await untilDegraded(bed, by: "% of the messages to region NA fail, most with 429") {
                _ = try await bed.send("NA-1", ["Gateway-Region": "NA"])
            }
            let line = try await bed.gateway.line(with: "Amazon did not accept a message")
            #expect(line.contains(#""error.type":"429""#) && line.contains(#""cloud.region":"NA""#))
        }
    }
}
