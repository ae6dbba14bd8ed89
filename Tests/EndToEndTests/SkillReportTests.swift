import Foundation
import GatewayCore
import TestSupport
import Testing
import TokenEndpointClient

/// Messages that their skill reports, through the whole gateway.
@Suite struct SkillReportTests {
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
