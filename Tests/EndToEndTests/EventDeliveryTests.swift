import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// Events, delivered to a receiver that reads them with the libraries of Standard Webhooks and CloudEvents.
@Suite(.serialized) struct EventDeliveryTests {
    private static let secret = "whsec_Y2FuYXJ5LWV2ZW50cy1zZWNyZXQtMDEyMzQ1Njc="

    private struct Told: Decodable, Equatable {
        var path: String
        var status: Int
        var id: String
        var type: String
        var source: String
        var subject: String?
        var data: [String: String]
    }

    /// What it was told by now, in order.
    private static func told(_ receiver: RunningProcess) throws -> [Told] {
        // The last line may still be on its way; it is empty behind a whole one.
        let lines = receiver.log.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        return try lines.filter { $0.hasPrefix(#"{"path""#) }.map {
            try JSONDecoder().decode(Told.self, from: Data($0.utf8))
        }
    }

    private static func answer(_ status: Int, _ url: String) async throws {
        _ = try await TestBed.transfer("GET", "\(url)/status/\(status)")
    }

    private static func run(
        _ options: String = "", configuration: String = "", secret: String = "simulator-secret",
        _ body: (TestBed, _ receiver: RunningProcess, _ url: String) async throws -> Void
    ) async throws {
        let receiver = try RunningProcess.python("events.py", [Self.secret])
        defer { receiver.signal(SIGKILL) }
        let url = "http://127.0.0.1:\(try await receiver.port("events.listener"))"
        try await TestBed.run(
            configuration: """
                eventLoops: 1
                events: {url: \(url)/hook?code=canary-code, secret: {file: events}\(options)}
                \(configuration)
                """, secret: secret, prepare: { try TestBed.write(Self.secret, to: "events", in: $0) }
        ) { bed in
            try await body(bed, receiver, url)
        }
    }

    @Test func `users that are gone and outcomes that stay unknown are told`() async throws {
        try await Self.run(
            ", unknownOutcomeAfter: 0s", configuration: "discovery: probe\naccessLog: {file: access.log}"
        ) { bed, receiver, _ in
            #expect(try await bed.send("GONE-1", [:]).status == 404)
            try await bed.setFaults(#"{"NA": {"connection": "resetAfterRead", "accept": true}}"#)
            let fields = ["Gateway-Region": "NA", "Idempotency-Key": "canary-k", "X-Request-Id": "order-17"]
            #expect(try await bed.send("NA-1", fields).status == 504)
            try await bed.until("both have been told") { try Self.told(receiver).count == 2 }
            let told = try Self.told(receiver)
            #expect(told.map(\.type) == ["skillgate.user-gone", "skillgate.outcome-unknown"])
            #expect(
                told[0].data == ["skill": "weather", "caller": "orders", "userId": "amzn1.ask.account.GONE-1"])
            let message = told[1].data
            #expect(message["requestId"] == "order-17" && message["region"] == "NA" && message["caller"] == "orders")
            #expect(message["problem"] == "outcome-unknown-connection-lost" && message["record"]?.count == 64)
            #expect(told.allSatisfy { $0.path == "/hook?code=canary-code" && $0.subject == "skills/weather" })
            #expect(Set(told.map(\.id)).count == 2 && Set(told.map(\.source)).count == 1)
            try await bed.untilMetric(
                #"skillgate_events_total{type="outcome-unknown",result="delivered"}"#, is: 1)
            try await bed.untilMetric("skillgate_events_queued", is: 0)
        }
    }

    @Test func `trouble with a token is told, and its end`() async throws {
        try await Self.run(secret: "wrong-canary") { bed, receiver, _ in
            func told() throws -> [Told] { try Self.told(receiver).filter { $0.subject == "skills/weather" } }
            try await bed.until("it has been told") { try !told().isEmpty }
            let trouble = try #require(try told().first)
            #expect(trouble.type == "skillgate.token-failing" && trouble.data["reason"] == "invalid_client")
            try bed.replace("secret", with: "simulator-secret")
            try await bed.until("its end has been told") { try told().count == 2 }
            #expect(try told().last?.type == "skillgate.token-recovered")
        }
    }

    @Test func `a skill that failed and gets another client has recovered`() async throws {
        try await Self.run { bed, receiver, _ in
            func told() throws -> [Told] { try Self.told(receiver).filter { $0.subject == "skills/weather" } }
            try bed.replace("secret", with: "wrong-canary")
            try await bed.until("it has been told") { try !told().isEmpty }
            // The token from before is good for a while yet.
            #expect(try told().first?.data["tokenExpiresAt"] != nil)
            _ = try await bed.control("PUT", "clients/other-client", #"{"secrets": ["other-canary"]}"#)
            try TestBed.write("other-canary", to: "other-secret", in: bed.folder)
            let yaml = try String(contentsOf: bed.folder.appendingPathComponent("skillgate.yaml"), encoding: .utf8)
            let client =
                "{name: weather, clientID: amzn1.application-oa2-client.simulator, clientSecret: {file: secret}"
            try bed.replace(
                "skillgate.yaml",
                with: yaml.replacing(
                    client, with: "{name: weather, clientID: other-client, clientSecret: {file: other-secret}"))
            try await bed.until("its end has been told") { try told().count == 2 }
            #expect(try told().map(\.type) == ["skillgate.token-failing", "skillgate.token-recovered"])
        }
    }

    @Test func `who asks for a type on reload hears of what is failing already`() async throws {
        try await Self.run(", types: [user-gone]", secret: "wrong-canary") { bed, receiver, _ in
            try await bed.untilMetric(
                #"skillgate_token_fetches_total{skill="weather",result="invalid_client"}"#, isAnyOf: [1, 2, 3])
            let file = bed.folder.appendingPathComponent("skillgate.yaml")
            let yaml = try String(contentsOf: file, encoding: .utf8)
            try bed.replace(
                "skillgate.yaml", with: yaml.replacing("types: [user-gone]", with: "types: [user-gone, token-failing]"))
            try await bed.until("it has been told") {
                try Self.told(receiver).contains { $0.subject == "skills/weather" }
            }
            #expect(try Self.told(receiver).allSatisfy { $0.type == "skillgate.token-failing" })
        }
    }

    @Test func `a region that is left alone is told once, and again when it is back`() async throws {
        let receiver = try RunningProcess.python("events.py", [Self.secret])
        defer { receiver.signal(SIGKILL) }
        let url = "http://127.0.0.1:\(try await receiver.port("events.listener"))"
        let port = try FreePort.find()
        try await TestBed.run(
            configuration:
                "eventLoops: 2\nevents: {url: \(url), secret: {file: events}, types: [circuit-opened, circuit-closed]}",
            regions: "regions: {NA: {apiEndpoint: http://127.0.0.1:\(port)}}",
            prepare: { try TestBed.write(Self.secret, to: "events", in: $0) }
        ) { bed in
            // On both event loops.
            for _ in 0..<40 { _ = try await bed.send("NA-1") }
            try await bed.until("it has been told") { try !Self.told(receiver).isEmpty }
            let simulator = try RunningProcess(
                RunningProcess.skillgate, ["simulate", "--listen", "127.0.0.1:\(port)"])
            defer { simulator.signal(SIGKILL) }
            try await bed.until("its end has been told") { try Self.told(receiver).count >= 2 }
            try await bed.untilMetric(#"skillgate_circuit_state{region="NA"}"#, is: 0)
            let told = try Self.told(receiver)
            #expect(told.map(\.type) == ["skillgate.circuit-opened", "skillgate.circuit-closed"])
            #expect(told.allSatisfy { $0.data == ["region": "NA"] && $0.subject == "regions/NA" })
        }
    }

    @Test func `a receiver that fails gets the same event again, and messages do not wait for it`() async throws {
        try await Self.run(configuration: "discovery: probe") { bed, receiver, url in
            try await Self.answer(500, url)
            #expect(try await bed.send("GONE-1", [:]).status == 404)
            try await bed.untilMetric(#"skillgate_event_failures_total{reason="error"}"#, is: 1)
            _ = try await bed.gateway.line(with: "event delivery failed")
            #expect(try await bed.send("NA-1").status == 202)
            try await Self.answer(204, url)
            try await bed.untilMetric(#"skillgate_events_total{type="user-gone",result="delivered"}"#, is: 1)
            _ = try await bed.gateway.line(with: "events are delivered again")
            let told = try Self.told(receiver)
            #expect(told.map(\.status) == [500, 204] && told[0].id == told[1].id && told[0].data == told[1].data)
        }
    }

    @Test func `a receiver that hangs costs messages nothing, and the end of the process seconds`() async throws {
        try await Self.run(configuration: "discovery: probe") { bed, receiver, _ in
            receiver.signal(SIGSTOP)
            defer { receiver.signal(SIGCONT) }
            for number in 0..<20 { #expect(try await bed.send("GONE-\(number)", [:]).status == 404) }
            #expect(try await bed.send("NA-1").status == 202)
            bed.gateway.signal(SIGTERM)
            _ = try await bed.gateway.line(with: "shutting down with undelivered events")
            #expect(await bed.gateway.exitStatus() == 0)
        }
    }

    @Test func `a process that ends tells of outcomes that it alone knows to be unknown`() async throws {
        try await Self.run(", unknownOutcomeAfter: 1h") { bed, receiver, _ in
            try await bed.setFaults(#"{"NA": {"connection": "resetAfterRead"}}"#)
            #expect(try await bed.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": "k"]).status == 504)
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
            try await bed.until("it has been told") { try !Self.told(receiver).isEmpty }
            #expect(try Self.told(receiver).map(\.type) == ["skillgate.outcome-unknown"])
        }
    }

    @Test func `two secrets sign while receivers change over, and nobody shows the query`() async throws {
        let next = "whsec_bmV4dC1jYW5hcnktZXZlbnRzLXNlY3JldC0wMTIzNDU="
        let receiver = try RunningProcess.python("events.py", [next])
        defer { receiver.signal(SIGKILL) }
        let url = "http://127.0.0.1:\(try await receiver.port("events.listener"))/hook?code=canary-code"
        try await TestBed.run { bed in
            try TestBed.write(Self.secret, to: "events", in: bed.folder)
            try TestBed.write(next, to: "events-next", in: bed.folder)
            let file = bed.folder.appendingPathComponent("skillgate.yaml")
            let yaml = try String(contentsOf: file, encoding: .utf8)
            // Without and with it, on reload.
            try bed.replace(
                "skillgate.yaml",
                with: yaml
                    + "\nevents: {url: '\(url)', secret: {file: events}, nextSecret: {file: events-next}}\ndiscovery: probe"
            )
            _ = try await bed.gateway.line(with: "configuration reloaded")
            #expect(try await bed.send("GONE-1", [:]).status == 404)
            try await bed.until("it has been told") { try !Self.told(receiver).isEmpty }
            for command in [["check", "--print", "--config", file.path], ["doctor", "--config", file.path]] {
                let process = try RunningProcess(RunningProcess.skillgate, command)
                let text = await process.output()
                TestBed.expectNoCanary(in: text, of: command[0])
                #expect(await process.exitStatus() == 0, "\(text)")
            }
            #expect(try Self.told(receiver).map(\.type) == ["skillgate.user-gone", "skillgate.ping"])
        }
    }
}
