import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// The page for people, in a real browser.
@Suite(.serialized) struct StatusPageTests {
    /// Where screenshots stay, for people to look at: `TEST_SCREENSHOTS`, else they go with the test.
    private static func screenshots(_ bed: TestBed) -> String {
        ProcessInfo.processInfo.environment["TEST_SCREENSHOTS"] ?? bed.folder.path
    }

    @Test func `it shows traffic within two seconds, on a desk, in the dark and on a phone, and asks nobody else`()
        async throws
    {
        let closed = try FreePort.find()
        try await TestBed.run(prepare: { folder in
            try TestBed.write(String(closed), to: "closed-port", in: folder)
        }) { bed in
            // A region that cannot be reached is a problem to be shown.
            let yaml = try String(contentsOf: bed.folder.appendingPathComponent("skillgate.yaml"), encoding: .utf8)
            try TestBed.write(
                yaml.replacingOccurrences(of: "\(bed.simulatorURL)/fe", with: "http://127.0.0.1:\(closed)/fe"),
                to: "skillgate.yaml", in: bed.folder)
            try await bed.withReplica { gateway in
                #expect(try await gateway.send("FE-1", ["Gateway-Region": "FE"]).status == 502)
                #expect(try await gateway.send("NA-1").status == 202)
                let look = try RunningProcess.python(
                    "status_page.py",
                    environment: [
                        "STATUS_URL": gateway.adminURL + "/", "API_KEY": TestBed.apiKey,
                        "MESSAGE_URL": gateway.url + "/v1/skillmessages/users/amzn1.ask.account.EU-1",
                        "SCREENSHOTS": Self.screenshots(bed),
                    ])
                defer { look.signal(SIGKILL) }
                let output = await look.output()
                #expect(await look.exitStatus() == 0, "\(output)")
                TestBed.expectNoCanary(
                    in: try await TestBed.transfer("GET", gateway.adminURL + "/api/status").text, of: "/api/status")
            }
        }
    }

    private struct Status: Decodable {
        struct Region: Decodable {
            var name: String
            var circuit: String
            var answers: [String: Int]
            var median: Double?
            var inFlightLimit: Int
            var inFlightMaximum: Int
        }
        struct Skill: Decodable {
            var name: String
            var token: String
            var age: Double?
            var expiresIn: Double?
            var fetches: Int
        }
        struct Store: Decodable {
            var kind: String
            var records: Int?
            var retention: Double
        }
        struct Problem: Decodable {
            var problem: String
            var proxyStatus: String
            var count: Int
            var region: String?
        }
        struct Point: Decodable { var time: Double }
        struct Caller: Decodable {
            var name: String
            var inFlight: Int?
            var maximumInFlight: Int?
        }

        var ready: Bool
        var replayed: Int
        var refused: Int
        var regions: [Region]
        var callers: [Caller]
        var skills: [Skill]
        var store: Store
        var problems: [Problem]
        var history: [Point]
    }

    @Test func `the same as JSON`() async throws {
        try await TestBed.run(
            configuration: "upstream: {deadline: 400ms}", faults: #"{"EU": {"connection": "hang"}}"#, skills: 1
        ) { bed in
            for _ in 0..<2 {
                let fields = ["Gateway-Region": "NA", "Idempotency-Key": "k"]
                #expect(try await bed.send("NA-1", fields).status == 202)
            }
            #expect(try await bed.send("GONE-1").status == 404)
            #expect(try await bed.send("NA-1", key: "").status == 401)
            for _ in 0..<2 { #expect(try await bed.send("EU-1", ["Gateway-Region": "EU"]).status == 504) }
            let answer = try await TestBed.transfer("GET", bed.adminURL + "/api/status")
            let status = try JSONDecoder().decode(Status.self, from: Data(answer.content))
            #expect(status.ready && status.replayed == 1 && status.refused == 3)
            #expect(status.regions.map(\.name) == ["NA", "EU", "FE"])
            #expect(status.regions.map(\.answers) == [["202": 1, "404": 1], [:], [:]])
            #expect(status.regions[0].circuit == "closed" && (status.regions[0].median ?? 0) > 0)
            #expect(status.regions.allSatisfy { $0.inFlightLimit == 512 && $0.inFlightMaximum == 512 })
            #expect(status.callers.map(\.name) == ["orders"] && status.callers[0].inFlight == nil)
            #expect(status.skills.map(\.name) == ["weather"] && status.skills[0].token == "valid")
            #expect(status.skills[0].fetches == 1 && (status.skills[0].age ?? -1) >= 0)
            #expect((3000...3600).contains(status.skills[0].expiresIn ?? 0))
            #expect(status.store.kind == "memory" && status.store.records == 1 && status.store.retention == 86_400)
            #expect(status.problems.map(\.problem) == ["outcome-unknown-timeout"])
            #expect(status.problems[0].count == 2 && status.problems[0].region == "EU")
            #expect(
                status.problems[0].proxyStatus
                    == #"skillgate; error=connection_read_timeout; details="outcome-unknown-timeout""#)
        }
    }
}
