import Foundation
import GatewayCore
import TestSupport
import Testing
import TokenEndpointClient

/// A caller settles an outcome that the gateway does not know.
@Suite struct KeySettlementTests {
    @Test(arguments: StoreKind.allCases)
    func `what its caller knows to be accepted is answered so from then on, by every store`(store: StoreKind)
        async throws
    {
        let redis = try RedisProcess.plain()
        if store == .redis { try await redis.start() }
        defer { Task { await redis.stop() } }
        try await TestBed.run(
            configuration:
                "idempotency: \(TestBed.idempotency(store, redis))\naudit: {file: audit.log}\nupstream: {deadline: 400ms}",
            skills: 1
        ) { bed in
            if store == .redis { try await bed.untilStore(isUp: true) }
            let fields = ["Gateway-Region": "NA", "Idempotency-Key": "k"]
            try await bed.setFaults(#"{"NA": {"connection": "hang"}}"#)
            #expect(try await bed.send("NA-1", fields).status == 504)
            try await bed.setFaults("{}")
            let received = try await bed.counters().received
            func settle() async throws -> HTTPTransfer.Response {
                try await TestBed.transfer(
                    "PUT", bed.url + "/v1/idempotency-keys/k", #"{"state":"accepted"}"#,
                    [
                        "Authorization": "Bearer \(TestBed.apiKey)", "X-Request-Id": "by-hand-1",
                    ])
            }
            let settled = try await settle()
            #expect(settled.status == 200, "\(settled)")
            let form =
                /\{"state":"accepted","status":202,"createdAt":"[-0-9T:.]+Z","expiresAt":"[-0-9T:.]+Z"\}/
            #expect(settled.text.wholeMatch(of: form) != nil, "\(settled.text)")
            #expect(try await settle().status == 200)
            var resend = fields
            resend["Idempotency-Resend"] = "?1"
            for fields in [fields, resend] {
                let answer = try await bed.send("NA-1", fields)
                #expect(answer.status == 202 && answer.field("Idempotent-Replayed") == "true", "\(answer)")
                #expect(answer.field("Gateway-Outcome") == "caller" && answer.field("Gateway-Region") == nil)
                #expect(answer.field("Proxy-Status") == "skillgate")
            }
            try await bed.until("the audit log") {
                let audit = try String(contentsOf: bed.folder.appendingPathComponent("audit.log"), encoding: .utf8)
                let line = audit.split(separator: "\n").first { $0.contains("by-hand-1") }
                return line?.contains(#""action":"settlement","decision":"allowed""#) == true
                    && line?.contains(/"record":"[0-9a-f]{64}"/) == true
            }
            guard store != .memory else { return }
            bed.gateway.signal(SIGKILL)
            try await bed.withReplica { next in
                if store == .redis { try await next.untilStore(isUp: true) }
                #expect(try await next.send("NA-1", fields).field("Idempotent-Replayed") == "true")
                #expect(try await next.counters().received == received)
            }
        }
    }

    @Test func `a caller with a rate is told what is left, and a problem where it is explained`() async throws {
        let key = "limited-canary-0123456789"
        try await TestBed.run(
            configuration: "problemDocumentation: 'https://docs.example.com/API.md#'", skills: 1,
            callers:
                "  - {name: limited, apiKeys: [{file: limited-key}], skills: [weather], rate: {perSecond: 1, burst: 3}}",
            prepare: { try TestBed.write(key, to: "limited-key", in: $0) }
        ) { bed in
            for left in [2, 1, 0] {
                let answer = try await bed.send("NA-1", key: key)
                #expect(answer.status == 202)
                #expect(answer.field("RateLimit-Policy") == #""requests";q=3;w=3"#)
                #expect(answer.field("RateLimit")?.hasPrefix(#""requests";r=\#(left);t="#) == true, "\(answer)")
            }
            let refused = try await bed.send("NA-1", key: key)
            #expect(refused.status == 429 && refused.field("RateLimit")?.contains(";r=0;") == true)
            #expect(refused.field("Link") == #"<https://docs.example.com/API.md#caller-rate>; rel="describedby""#)
            #expect(try await bed.send("NA-1").field("RateLimit") == nil, "this caller has no rate")
        }
    }
}
