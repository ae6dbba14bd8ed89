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

    /// The page says it without scrolling, on a desk and on a phone, and the first line of `doctor` names the cause.
    private func expectNamed(_ bed: TestBed, incident: String, reason: String, cause: String) async throws {
        let look = try RunningProcess.python(
            "incident_page.py",
            environment: [
                "STATUS_URL": bed.adminURL + "/", "REASON": reason, "INCIDENT": incident,
                "SCREENSHOTS": ProcessInfo.processInfo.environment["TEST_SCREENSHOTS"] ?? bed.folder.path,
            ])
        defer { look.signal(SIGKILL) }
        let seen = await look.output()
        #expect(await look.exitStatus() == 0, "\(seen)")
        let doctor = try RunningProcess(
            RunningProcess.skillgate,
            ["doctor", "--config", bed.folder.path + "/skillgate.yaml", "--admin", bed.adminURL])
        let text = await doctor.output()
        #expect(await doctor.exitStatus() == 69)
        #expect(text.split(separator: "\n").first?.contains(cause) == true, "\(text)")
    }

    @Test func `the secret was changed at Amazon, and the tokens were revoked`() async throws {
        try await TestBed.run { bed in
            #expect(try await bed.send("NA-1", ["Gateway-Region": "NA"]).status == 202)
            _ = try await bed.control(
                "PUT", "clients/amzn1.application-oa2-client.simulator", #"{"secrets": ["another"]}"#)
            _ = try await bed.control("POST", "tokens/revoke")
            try await untilDegraded(bed, by: "% of the messages to region NA fail, mostly with 403") {
                _ = try await bed.send("NA-1", ["Gateway-Region": "NA"])
            }
            let cause = "skill weather gets no new token: its client id or secret is wrong"
            #expect(try await readiness(bed).reasons.first?.contains(cause) == true)
            #expect(bed.gateway.log.contains("access token fetch failed"))
            #expect(bed.gateway.log.contains("invalid_client"))
            #expect(bed.gateway.log.contains("Amazon did not accept a message"))
            try await expectNamed(
                bed, incident: "secret", reason: cause,
                cause: "skill weather: its client id or secret is wrong")
        }
    }

    @Test func `a region hangs`() async throws {
        try await TestBed.run(
            configuration: "upstream: {deadline: 400ms, connectTimeout: 400ms}",
            faults: #"{"EU": {"connection": "hang"}}"#,
            skills: 1
        ) { bed in
            try await untilDegraded(bed, by: "region EU is not responding") {
                _ = try await bed.send("EU-1", ["Gateway-Region": "EU"])
            }
            // Callers go on; without them the region would be taken for well again, since it answers probes.
            let callers = Task { while !Task.isCancelled { _ = try await bed.send("EU-1", ["Gateway-Region": "EU"]) } }
            try await expectNamed(
                bed, incident: "region", reason: "EU", cause: "region EU for skill weather: 127.0.0.1")
            callers.cancel()
            _ = await callers.result
            let log = bed.gateway.log
            #expect(log.contains("a message was sent, but its outcome is unknown"))
            #expect(!log.contains(#""message":"a message was not sent","#) || log.contains("circuit-open"))
            try await bed.setFaults("{}")
            try await bed.until("readiness") {
                _ = try await bed.send("EU-1", ["Gateway-Region": "EU"])
                return try await readiness(bed).state == "ready"
            }
            #expect(try await readiness(bed).reasons.filter { $0.contains("is not responding") }.isEmpty)
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
            try await expectNamed(
                bed, incident: "token-endpoint", reason: "skill weather has no valid token",
                cause: "the token endpoint is failing (status 503)")
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
                try await expectNamed(
                    bed, incident: "redis", reason: "the idempotency store cannot be reached",
                    cause: "Redis at 127.0.0.1:\(redis.port) cannot be used")
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
            try await untilDegraded(bed, by: "% of the messages to region NA fail, mostly with 429") {
                _ = try await bed.send("NA-1", ["Gateway-Region": "NA"])
            }
            let line = try await bed.gateway.line(with: "Amazon did not accept a message")
            #expect(line.contains(#""error.type":"429""#) && line.contains(#""cloud.region":"NA""#))
            // Amazon has calmed down for strangers, and the gateway still holds the skill back.
            try await bed.setFaults("{}")
            try await expectNamed(
                bed, incident: "429", reason: "mostly with 429",
                cause: "messages in flight to region NA, since Amazon answers 429")
        }
    }
}
