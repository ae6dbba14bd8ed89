import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// The skill's side of receipts: the handlers of `Docs/SkillDevelopers.md`, in a world in which messages come twice.
@Suite(.serialized) struct SkillHandlerTests {
    /// `TEST_DELIVERIES` asks for more.
    private static let messages =
        ProcessInfo.processInfo.environment["TEST_DELIVERIES"].flatMap { Int($0) } ?? 500

    /// Amazon's answers are lost, it delivers messages again that were acknowledged, and callers have messages resent whose
    /// outcome they do not know.
    @Test(arguments: ["python", "node"])
    func `a skill handles each message once, however often it gets it`(language: String) async throws {
        let port = try FreePort.find()
        let skill = try RunningProcess.python(
            "reporting.py", [language], environment: ["RECEIPTS": "http://127.0.0.1:\(port)/v1/receipts"])
        defer { skill.signal(SIGKILL) }
        let skillPort = try await skill.port("skill.listener")
        try await TestBed.run(
            configuration: "receipts: {signingKeys: [{file: receipts}]}", skills: 1, receiptMember: "receipt",
            listeners: "[{address: 127.0.0.1:\(port)}]",
            simulator: ["--skill-endpoint", "http://127.0.0.1:\(skillPort)/", "--delivery-speed", "100"],
            prepare: { try TestBed.write("canary-signing-key-of-at-least-32-bytes", to: "receipts", in: $0) }
        ) { bed in
            try await bed.setFaults(
                #"{"EU": {"connection": "resetAfterRead", "accept": true, "probability": 0.2}, "#
                    + #""skill": {"deliveredTwice": 0.1}}"#)
            try await Self.sendAll(bed)
            try await bed.until("all messages have been handled") { Self.handled(skill).count >= Self.messages }
            try await bed.until("nothing is delivered any more") {
                try await bed.control("GET", "counters").text.contains(#""pending":0"#)
            }
            let handled = Self.handled(skill)
            #expect(handled.count == Self.messages && Set(handled).count == Self.messages)
            #expect(skill.log.split(separator: "\n").count == Self.messages + 1, "\(skill.log.suffix(500))")
        }
    }

    private static func handled(_ skill: RunningProcess) -> [Substring] {
        skill.log.split(separator: "\n").filter { $0.hasPrefix("handled ") }
    }

    /// As a back end would that rather has a message sent twice than not at all.
    private static func sendAll(_ bed: TestBed) async throws {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for number in 0..<messages {
                if number >= 32 { try await tasks.next() }
                tasks.addTask {
                    var fields = ["Gateway-Region": "EU", "Idempotency-Key": "order-\(number)"]
                    for _ in 0..<50 {
                        let content = #"{"data":{"order":"\#(number)"}}"#
                        let status = try await bed.send("EU-\(number % 7)", fields, content: content).status
                        if status == 202 { return }
                        fields["Idempotency-Resend"] = "?1"
                    }
                    Issue.record("message \(number) was never accepted")
                }
            }
            try await tasks.waitForAll()
        }
    }
}
