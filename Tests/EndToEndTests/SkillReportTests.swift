import Foundation
import GatewayCore
import TestSupport
import Testing
import TokenEndpointClient

/// Messages that their skill reports, through the whole gateway.
@Suite struct SkillReportTests {
    /// Records are in this process alone while Redis is away; what a receipt says is told to Redis when it is back.
    @Test func `a receipt outlives the outage in which it came`() async throws {
        let redis = try RedisProcess.plain()
        try await redis.start()
        defer { Task { await redis.stop() } }
        try await TestBed.run(
            configuration: """
                receipts: {signingKeys: [{file: receipts}]}
                idempotency: {store: redis, redis: {url: "redis://127.0.0.1:\(redis.port)", onStoreUnavailable: forward}}
                """, skills: 1, receiptMember: "receipt",
            prepare: { try TestBed.write("canary-signing-key-of-at-least-32-bytes", to: "receipts", in: $0) }
        ) { bed in
            try await bed.untilStore(isUp: true)
            await redis.kill()
            try await bed.untilStore(isUp: false)
            for connection in ["hang", "resetAfterRead"] {
                try await bed.setFaults(#"{"NA": {"connection": "\#(connection)", "accept": true}}"#)
                let fields = ["Gateway-Region": "NA", "Idempotency-Key": connection]
                async let first = bed.send("NA-1", fields)
                var id: String?
                try await bed.until("it has been accepted") {
                    let accepted = try await bed.acceptedMessages()
                    id = accepted.last?.data["receipt"]
                    return accepted.count == (connection == "hang" ? 1 : 2)
                }
                // Where the answer is lost before the report, the sender has been told so.
                if connection == "resetAfterRead" { #expect(try await first.status == 504) }
                let report = try await TestBed.transfer(
                    "POST", bed.url + "/v1/receipts", #"{"id":"\#(try #require(id))"}"#)
                #expect(report.status == 503 && report.text.contains("first report"), "\(report)")
                if connection == "hang" { #expect(try await first.field("Gateway-Outcome") == "receipt") }
            }
            try await bed.setFaults("{}")
            try await redis.start()
            try await bed.untilStore(isUp: true)
            try await bed.untilMetric("skillgate_idempotency_settlement_backlog", is: 0)
            for key in ["hang", "resetAfterRead"] {
                let retry = try await bed.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": key])
                #expect(retry.status == 202 && retry.field("Gateway-Outcome") == "receipt", "\(key): \(retry)")
            }
            #expect(try await bed.counters().accepted == 2)
        }
    }

    private struct Counters: Decodable {
        struct Deliveries: Decodable {
            var pending: Int
            var firstReports: Int
            var laterReports: Int
            var failedReports: Int
        }

        var deliveries: Deliveries
    }

    @Test func `reports that are lost, late, doubled or forged are what they are`() async throws {
        let port = try FreePort.find()
        try await TestBed.run(
            configuration: "receipts: {signingKeys: [{file: receipts}]}\naccessLog: {file: access.log}", skills: 1,
            receiptMember: "receipt", listeners: "[{address: 127.0.0.1:\(port)}]",
            simulator: ["--receipts-to", "http://127.0.0.1:\(port)/v1/receipts"],
            prepare: { try TestBed.write("canary-signing-key-of-at-least-32-bytes", to: "receipts", in: $0) }
        ) { bed in
            let faults = #"{"receiptsLost":0.2,"receiptsLate":0.5,"lateMilliseconds":30,"receiptsDoubled":0.5,"#
            try await bed.setFaults(#"{"skill": \#(faults)"receiptsForged":0.5,"deliveredTwice":0.1}}"#)
            for number in 0..<100 {
                let fields = ["Gateway-Region": "NA", "Idempotency-Key": "k\(number)"]
                #expect(try await bed.send("NA-1", fields).status == 202)
            }
            var counters: Counters.Deliveries?
            try await bed.until("all have been reported") {
                let content = try await bed.control("GET", "counters").content
                counters = try JSONDecoder().decode(Counters.self, from: Data(content)).deliveries
                return counters?.pending == 0
            }
            let count = try #require(counters)
            #expect(count.firstReports > 50 && count.firstReports < 100 && count.laterReports > 10)
            let page = try await TestBed.transfer("GET", bed.adminURL + "/metrics").text
            func value(_ sample: String) -> Int {
                page.split(separator: "\n").first { $0.hasPrefix(sample + " ") }
                    .flatMap { Int($0.dropFirst(sample.count + 1)) } ?? -1
            }
            let skill = #"{skill="weather","#
            let first = value(#"skillgate_receipts_total\#(skill)result="first"}"#)
            #expect(first + value(#"skillgate_receipts_total\#(skill)result="proof"}"#) == count.firstReports)
            #expect(value(#"skillgate_receipts_total\#(skill)result="again"}"#) == count.laterReports)
            let unknown = value(#"skillgate_rejected_total{reason="receipt-unknown"}"#)
            #expect(unknown + value(#"skillgate_rejected_total{reason="too-many-failed-attempts"}"#) > 20)
            #expect(value(#"skillgate_delivery_seconds_count{skill="weather"}"#) == count.firstReports)
            let status = try await TestBed.transfer("GET", bed.adminURL + "/api/status").text
            #expect(status.contains(#""received":\#(count.firstReports)"#), "\(status)")
        }
    }

    /// A skill somewhere else reaches nothing but its own route; callers inside everything.
    @Test func `a listener for skills serves nothing else`() async throws {
        let port = try FreePort.find()
        try await TestBed.run(
            configuration: "receipts: {signingKeys: [{file: receipts}]}", skills: 1,
            receiptMember: "receipt",
            listeners: "[{address: 127.0.0.1:0, serves: [messages]}, {address: 127.0.0.1:\(port), serves: [receipts]}]",
            prepare: { try TestBed.write("canary-signing-key-of-at-least-32-bytes", to: "receipts", in: $0) }
        ) { bed in
            #expect(try await bed.send("NA-1", ["Gateway-Region": "NA", "Idempotency-Key": "k"]).status == 202)
            let id = try #require(try await bed.acceptedMessages().first?.data["receipt"])
            let forSkills = "http://127.0.0.1:\(port)"
            for path in ["/v1/idempotency-keys/k", "/v1/users/NA-1/region", "/auth/o2/token", "/"] {
                let response = try await TestBed.transfer("POST", forSkills + path, #"{"id":"\#(id)"}"#)
                #expect(response.status == 404 && response.text.contains("serves only: receipts"), "\(response)")
            }
            let inside = try await TestBed.transfer("POST", bed.url + "/v1/receipts", #"{"id":"\#(id)"}"#)
            #expect(inside.status == 404, "\(inside)")
            let report = try await TestBed.transfer("POST", forSkills + "/v1/receipts", #"{"id":"\#(id)"}"#)
            #expect(report.text == #"{"first":true}"#)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `an outcome that was unknown is known when the skill has the message`(store: StoreKind) async throws {
        let redis = try RedisProcess.plain()
        if store == .redis { try await redis.start() }
        defer { Task { await redis.stop() } }
        try await TestBed.run(
            configuration:
                "idempotency: \(TestBed.idempotency(store, redis))\nreceipts: {signingKeys: [{file: receipts}]}",
            skills: 1, receiptMember: "receipt",
            prepare: { try TestBed.write("canary-signing-key-of-at-least-32-bytes", to: "receipts", in: $0) }
        ) { bed in
            if store == .redis { try await bed.untilStore(isUp: true) }
            // Amazon accepts it, and the connection is lost before its answer.
            try await bed.setFaults(#"{"NA": {"connection": "resetAfterRead", "accept": true}}"#)
            let fields = ["Gateway-Region": "NA", "Idempotency-Key": "k"]
            #expect(try await bed.send("NA-1", fields).status == 504)
            try await bed.setFaults("{}")
            let message = try #require(try await bed.acceptedMessages().first)
            let id = try #require(message.data["receipt"])
            func report() async throws -> HTTPTransfer.Response {
                try await TestBed.transfer("POST", bed.url + "/v1/receipts", #"{"id":"\#(id)"}"#)
            }
            #expect(try await report().text == #"{"first":true}"#)
            let again = try await report()
            #expect(again.text.hasPrefix(#"{"first":false,"firstAt":"20"#), "\(again)")
            let retry = try await bed.send("NA-1", fields)
            #expect(retry.status == 202 && retry.field("Idempotent-Replayed") == "true", "\(retry)")
            #expect(retry.field("Gateway-Outcome") == "receipt" && retry.field("Gateway-Region") == nil)
            #expect(try await bed.report("k").contains(#""receivedAt":"20"#))
            #expect(try await bed.counters().accepted == 1)
            guard store != .memory else { return }
            bed.gateway.signal(SIGKILL)
            try await bed.withReplica { next in
                if store == .redis { try await next.untilStore(isUp: true) }
                let later = try await TestBed.transfer("POST", next.url + "/v1/receipts", #"{"id":"\#(id)"}"#)
                #expect(later.text == again.text)
            }
        }
    }
}
