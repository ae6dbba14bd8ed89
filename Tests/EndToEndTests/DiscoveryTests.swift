import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// Where users live: stated, learned, or found out.
@Suite(.serialized) struct DiscoveryTests {
    private static let probe = "eventLoops: 1\ndiscovery: probe"

    /// To the region that each of the received messages went to.
    private static func received(_ bed: TestBed) async throws -> [String: Int] {
        try await bed.counters().messages.mapValues(\.received).filter { $0.value > 0 }
    }

    private static func put(
        _ bed: TestBed, _ user: String, _ content: String, key: String = TestBed.apiKey
    ) async throws -> HTTPTransfer.Response {
        try await TestBed.transfer(
            "PUT", "\(bed.url)/v1/users/amzn1.ask.account.\(user)/region", content,
            key.isEmpty ? [:] : ["Authorization": "Bearer \(key)", "Gateway-Skill": "weather"])
    }

    @Test func `a region that was stated once needs not be stated again`() async throws {
        try await TestBed.run(configuration: "eventLoops: 1") { bed in
            #expect(try await bed.send("EU-1", [:]).status == 400)
            #expect(try await bed.send("EU-1", ["Gateway-Region": "EU"]).status == 202)
            let answer = try await bed.send("EU-1", [:])
            #expect(answer.status == 202 && answer.field("Gateway-Region") == "EU")
            // One who was refused there is not known to live there.
            #expect(try await bed.send("NA-1", ["Gateway-Region": "EU"]).status == 404)
            #expect(try await bed.send("NA-1", [:]).status == 400)
            try await bed.untilMetric(#"skillgate_regions_learned_total{how="message"}"#, is: 1)
        }
    }

    @Test func `somebody says where a user lives, by an endpoint or by a request of Alexa's`() async throws {
        try await TestBed.run(configuration: "eventLoops: 1") { bed in
            let stated = try await Self.put(bed, "EU-1", #"{"apiEndpoint": "https://api.eu.amazonalexa.com"}"#)
            #expect(stated.status == 200 && stated.text == #"{"region":"EU"}"#)
            #expect(try await bed.send("EU-1", [:]).status == 202)
            let envelope = """
                {"version": "1.0", "context": {"System": {"apiEndpoint": "\(bed.simulatorURL)/fe", "user":
                {"userId": "amzn1.ask.account.FE-1"}}}, "request": {"type": "LaunchRequest"}}
                """
            #expect(try await Self.put(bed, "FE-1", envelope).status == 200)
            #expect(try await bed.send("FE-1", [:]).status == 202)
            try await bed.untilMetric(#"skillgate_regions_learned_total{how="put"}"#, is: 2)

            for (content, said) in [
                ("{}", "expected `apiEndpoint`"), ("nonsense", "JSON"), ("", "JSON"),
                (#"{"apiEndpoint": "https://example.org"}"#, "not the endpoint of a configured region"),
                (envelope.replacingOccurrences(of: "FE-1", with: "FE-2"), "does not match the user in the path"),
                (#"{"context": {"System": 3}}"#, "expected `apiEndpoint`"),
            ] {
                let answer = try await Self.put(bed, "FE-1", content)
                #expect(answer.status == 400 && answer.text.contains(said), "\(content): \(answer.text)")
            }
            #expect(try await Self.put(bed, "FE-1", envelope, key: "").status == 401)
            let notAllowed = #"{"apiEndpoint": "https://api.amazonalexa.com"}"#
            #expect(try await Self.put(bed, "NA-1", notAllowed, key: TestBed.otherKey).status == 403)
            let wrongMethod = try await TestBed.transfer("GET", "\(bed.url)/v1/users/u/region")
            #expect(wrongMethod.status == 405 && wrongMethod.field("Allow") == "PUT")
        }
    }

    @Test(arguments: [404, 403])
    func `where nobody knows, the other regions are tried, and the answer is remembered`(wrongRegion: Int) async throws
    {
        let faults = "{\"unknowns\": {\"wrongRegionStatus\": \(wrongRegion)}}"
        try await TestBed.run(configuration: Self.probe, faults: faults) { bed in
            // Shows that the token is good, so that a 403 means something else.
            #expect(try await bed.send("NA-1").status == 202)
            let answer = try await bed.send("FE-1", ["Idempotency-Key": "k"])
            #expect(answer.status == 202 && answer.field("Gateway-Region") == "FE")
            #expect(try await Self.received(bed) == ["NA": 2, "EU": 1, "FE": 1])
            #expect(try await bed.send("FE-1", ["Idempotency-Key": "k"]).field("Idempotent-Replayed") == "true")
            #expect(try await bed.send("FE-1", [:]).status == 202)
            #expect(try await Self.received(bed) == ["NA": 2, "EU": 1, "FE": 2])
            #expect(try await bed.counters().tokenFetches == 2)
            try await bed.untilMetric(#"skillgate_regions_learned_total{how="probe"}"#, is: 1)
            try await bed.untilMetric(#"skillgate_upstream_attempts_total{region="FE",reason="other_region"}"#, is: 1)
        }
    }

    @Test func `a token that is revoked is renewed once every region has refused it, and the search starts over`()
        async throws
    {
        try await TestBed.run(configuration: Self.probe) { bed in
            #expect(try await bed.send("NA-1").status == 202)
            _ = try await bed.control("POST", "tokens/revoke")
            let answer = try await bed.send("FE-1", ["Idempotency-Key": "k"])
            #expect(answer.status == 202 && answer.field("Gateway-Region") == "FE")
            // Three with the old token, three with the new one; and the message before.
            #expect(try await Self.received(bed) == ["NA": 3, "EU": 2, "FE": 2])
            #expect(try await bed.counters().tokenFetches == 3)
        }
    }

    @Test func `a 403 with a token that nobody has seen work renews it first`() async throws {
        let faults = #"{"unknowns": {"wrongRegionStatus": 403}}"#
        try await TestBed.run(configuration: Self.probe, faults: faults) { bed in
            let answer = try await bed.send("FE-1", [:])
            #expect(answer.status == 403)
            #expect(try await Self.received(bed) == ["NA": 2])
        }
    }

    @Test func `a user that no region knows is gone, and nothing more is sent`() async throws {
        try await TestBed.run(configuration: Self.probe) { bed in
            #expect(try await bed.send("GONE-1", ["Idempotency-Key": "k"]).status == 404)
            #expect(try await Self.received(bed) == ["NA": 1, "EU": 1, "FE": 1])
            for fields in [[:], ["Idempotency-Key": "k"]] as [[String: String]] {
                let answer = try await bed.send("GONE-1", fields)
                #expect(answer.status == 404 && answer.text.contains("urn:skillgate:problem:user-gone"))
            }
            #expect(try await Self.received(bed) == ["NA": 1, "EU": 1, "FE": 1])
            try await bed.untilMetric("skillgate_users_gone", is: 1)
            // Whoever states the region knows better.
            #expect(try await bed.send("GONE-1", ["Gateway-Region": "EU"]).text.contains("There is no such user"))
            let listed = try await TestBed.transfer("GET", bed.adminURL + "/api/gone-users").text
            #expect(listed.contains("amzn1.ask.account.GONE-1") && listed.contains("weather"))
            // Somebody who knows better.
            #expect(
                try await Self.put(bed, "GONE-1", #"{"apiEndpoint": "https://api.eu.amazonalexa.com"}"#).status == 200)
            try await bed.untilMetric("skillgate_users_gone", is: 0)
            // Who was mistaken: that region was told to know the user, and all are asked again.
            #expect(try await bed.send("GONE-1", [:]).text.contains("There is no such user"))
            try await bed.untilMetric("skillgate_users_gone", is: 1)
        }
    }

    @Test func `what one skill learns reaches no other skill's users`() async throws {
        try await TestBed.run(configuration: Self.probe) { bed in
            let weather = ["Gateway-Skill": "weather", "Idempotency-Key": "w"]
            let news = ["Gateway-Skill": "news", "Idempotency-Key": "n"]
            let endpoint = #"{"apiEndpoint": "https://api.fe.amazonalexa.com"}"#
            let put = try await TestBed.transfer(
                "PUT", "\(bed.url)/v1/users/amzn1.ask.account.EU-1/region", endpoint,
                ["Authorization": "Bearer \(TestBed.otherKey)", "Gateway-Skill": "news"])
            #expect(put.text == #"{"region":"FE"}"#)
            // The skill whose user it is knows nothing of that; the other finds out that it was wrong.
            #expect(try await bed.send("EU-1", weather, key: TestBed.otherKey).field("Gateway-Region") == "EU")
            #expect(try await bed.send("EU-1", news, key: TestBed.otherKey).field("Gateway-Region") == "EU")
            // What Amazon accepted outranks it from now on.
            let again = try await TestBed.transfer(
                "PUT", "\(bed.url)/v1/users/amzn1.ask.account.EU-1/region", endpoint,
                ["Authorization": "Bearer \(TestBed.otherKey)", "Gateway-Skill": "news"])
            #expect(again.text == #"{"region":"EU"}"#)
        }
    }

    @Test(arguments: [
        (#"{"NA": {"status": 500}}"#, 500), (#"{"NA": {"status": 429}}"#, 429), (#"{"NA": {"status": 400}}"#, 400),
        (#"{"NA": {"connection": "resetAfterRead"}}"#, 504),
    ])
    func `what does not say that the user is unknown is not tried elsewhere`(faults: String, status: Int) async throws {
        try await TestBed.run(configuration: Self.probe, faults: faults) { bed in
            let answer = try await bed.send("FE-1", [:])
            #expect(answer.status == status)
            #expect(try await Self.received(bed) == ["NA": 1])
        }
    }

    @Test func `a region that was stated is not second-guessed, nor one the caller may not send to`() async throws {
        try await TestBed.run(configuration: Self.probe) { bed in
            #expect(try await bed.send("FE-1", ["Gateway-Region": "NA"]).status == 404)
            #expect(try await Self.received(bed) == ["NA": 1])
            // This caller may send to EU and FE only.
            let fields = ["Gateway-Skill": "weather", "Idempotency-Key": "k"]
            #expect(try await bed.send("NA-1", fields, key: TestBed.otherKey).status == 404)
            #expect(try await Self.received(bed) == ["NA": 1, "EU": 1, "FE": 1])
            try await bed.untilMetric("skillgate_users_gone", is: 0)
        }
    }

    @Test func `if the next region cannot be reached, that the first does not know the user is not the answer`()
        async throws
    {
        let port = try FreePort.find()
        try await TestBed.run(configuration: Self.probe, prepare: { _ in }) { bed in
            let yaml = try String(contentsOf: bed.folder.appendingPathComponent("skillgate.yaml"), encoding: .utf8)
            try TestBed.write(
                yaml.replacingOccurrences(of: "\(bed.simulatorURL)/eu", with: "http://127.0.0.1:\(port)/eu"),
                to: "skillgate.yaml", in: bed.folder)
            try await bed.withReplica { replica in
                let answer = try await replica.send("FE-1", ["Idempotency-Key": "k"])
                #expect(
                    answer.status == 502 && answer.text.contains("NA does not know the user, and EU cannot be asked"))
                #expect(try await replica.report("k") == #"{"state":"absent"}"#)
            }
        }
    }
}
