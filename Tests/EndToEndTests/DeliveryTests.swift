import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// Messages that the simulator delivers to a skill, which reads them with Amazon's SDK.
@Suite(.serialized) struct DeliveryTests {
    /// What the skill read.
    private struct Request: Decodable {
        var user: String
        var attempt: Int
        var message: [String: String]
        var type: String
        var requestId: String
        var timestamp: String
        var version: String
        var application: String
        var apiEndpoint: String
        var hasConsentToken: Bool
        var hasApiAccessToken: Bool
    }

    private struct Delivery: Decodable {
        struct Attempt: Decodable {
            var dueSeconds: Double
            var atSeconds: Double
            var status: Int?
        }

        var userId: String
        var region: String
        var state: String
        var attempts: [Attempt]
    }

    private struct Counters: Decodable {
        struct Deliveries: Decodable, Equatable {
            var pending: Int
            var acknowledged: Int
            var expired: Int
            var attempts: Int
        }

        var deliveries: Deliveries
    }

    /// So fast that the schedule of a minute and a half takes less than a second.
    private static let speed = "200"

    private func with(_ body: (TestBed, RunningProcess) async throws -> Void) async throws {
        let skill = try RunningProcess.python(
            "skill.py")
        defer { skill.signal(SIGKILL) }
        let port = try await skill.port("skill.listener")
        try await TestBed.run(simulator: [
            "--skill-endpoint", "http://127.0.0.1:\(port)/", "--skill-id", "amzn1.ask.skill.mine", "--delivery-speed",
            Self.speed,
        ]) { bed in
            try await body(bed, skill)
        }
    }

    /// Returns when nothing is under way any more.
    private func deliveries(_ bed: TestBed, count: Int) async throws -> [Delivery] {
        for _ in 0..<20_000 {
            let answer = try await bed.control("GET", "deliveries")
            let deliveries = try JSONDecoder().decode([Delivery].self, from: Data(answer.content))
            if deliveries.count == count, deliveries.allSatisfy({ $0.state != "pending" }) { return deliveries }
        }
        throw RunningProcess.Failure(description: "some deliveries never ended")
    }

    @Test func `a skill that fails twice gets its message at 0, 30 and 90 s, as Amazon's SDK reads it`() async throws {
        try await with { bed, skill in
            let answer = try await bed.send("EU-FAILS", ["Gateway-Region": "EU"])
            #expect(answer.status == 202)
            let delivery = try #require(try await deliveries(bed, count: 1).first)
            #expect(delivery.state == "acknowledged" && delivery.region == "EU")
            #expect(delivery.attempts.map(\.dueSeconds) == [0, 30, 90])
            #expect(delivery.attempts.map(\.status) == [500, 500, 200])
            for attempt in delivery.attempts { #expect(attempt.atSeconds >= attempt.dueSeconds) }

            _ = try await skill.line(with: #""attempt": 3"#)
            let requests = try skill.log.split(separator: "\n").dropFirst().map {
                try JSONDecoder().decode(Request.self, from: Data($0.utf8))
            }
            #expect(requests.count == 3)
            #expect(Set(requests.map(\.requestId)).count == 3)
            for request in requests {
                #expect(request.user == "amzn1.ask.account.EU-FAILS")
                #expect(request.message == ["a": "canary-value"])
                #expect(request.type == "Messaging.MessageReceived" && request.version == "1.0")
                #expect(request.application == "amzn1.ask.skill.mine")
                #expect(request.apiEndpoint == bed.simulatorURL + "/eu")
                #expect(request.hasConsentToken && request.hasApiAccessToken)
                #expect(request.timestamp.hasSuffix("+00:00"))
            }
        }
    }

    @Test func `a skill that never succeeds gets its message until it expires`() async throws {
        try await with { bed, _ in
            let content = #"{"data":{},"expiresAfterSeconds":100}"#
            #expect(try await bed.send("NA-NEVER", content: content).status == 202)
            #expect(try await bed.send("NA-1").status == 202)
            let deliveries = try await deliveries(bed, count: 2)
            #expect(deliveries[0].state == "expired")
            #expect(deliveries[0].attempts.map(\.dueSeconds) == [0, 30, 90])
            #expect(deliveries[1].state == "acknowledged")
            #expect(deliveries[1].attempts.map(\.status) == [200])
            let counters = try JSONDecoder().decode(
                Counters.self, from: Data(try await bed.control("GET", "counters").content))
            #expect(counters.deliveries == .init(pending: 0, acknowledged: 1, expired: 1, attempts: 4))
        }
    }

    @Test func `a skill that cannot be reached is tried again, too`() async throws {
        let port = try FreePort.find()
        try await TestBed.run(simulator: [
            "--skill-endpoint", "http://127.0.0.1:\(port)/", "--delivery-speed", "1000",
        ]) { bed in
            #expect(
                try await bed.send("NA-1", content: #"{"data":{},"expiresAfterSeconds":60}"#).status == 202)
            let delivery = try #require(try await deliveries(bed, count: 1).first)
            #expect(delivery.state == "expired")
            #expect(delivery.attempts.map(\.status) == [nil, nil])
        }
    }

    @Test(arguments: [
        (["--skill-endpoint", "skill"], "--skill-endpoint is `skill`"),
        (["--delivery-speed", "0"], "--delivery-speed is 0.0"),
    ])
    func `what cannot be meant is refused`(arguments: [String], said: String) async throws {
        let simulator = try RunningProcess(RunningProcess.skillgate, ["simulate"] + arguments)
        #expect(await simulator.exitStatus() == 64)
        #expect(await simulator.output().contains(said))
    }
}
