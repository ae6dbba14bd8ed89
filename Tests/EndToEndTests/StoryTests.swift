import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// `skillgate trace`: what is known of one message, in words.
@Suite(.serialized) struct StoryTests {
    private static func fields(_ key: String?, _ id: String, region: String? = "NA") -> [String: String] {
        var fields = ["X-Request-Id": id]
        fields["Idempotency-Key"] = key
        fields["Gateway-Region"] = region
        return fields
    }

    private static func tell(_ name: String, _ bed: TestBed, _ more: [String] = []) async throws -> String {
        let process = try RunningProcess(
            RunningProcess.skillgate, ["trace", name, "--config", bed.folder.path + "/skillgate.yaml"] + more)
        let text = await process.output()
        #expect(await process.exitStatus() == 0, "\(text)")
        return text
    }

    /// Without what differs from run to run.
    private static func timeless(_ text: String) -> [String] {
        let text = text.replacing(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/, with: "T")
            .replacing(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}/, with: "UUID").replacing(
                /it took [\d.]+ ms/, with: "it took N ms")
        return text.split(separator: "\n").map(String.init)
    }

    private static func expect(
        _ name: String, _ bed: TestBed, _ lines: [String], location: SourceLocation = #_sourceLocation
    ) async throws {
        let told = timeless(try await tell(name, bed))
        #expect(told == lines, sourceLocation: location)
    }

    private static func report(_ id: String, _ request: String, _ bed: TestBed) async throws {
        let report = try await TestBed.transfer(
            "POST", bed.url + "/v1/receipts", #"{"id":"\#(id)"}"#, ["X-Request-Id": request])
        #expect(report.status == 200)
    }

    private static func with(_ idempotency: String, _ body: (TestBed) async throws -> Void) async throws {
        try await TestBed.run(
            configuration: """
                eventLoops: 1
                discovery: probe
                idempotency: \(idempotency)
                accessLog: {file: access.log}
                audit: {file: audit.log}
                receipts: {signingKeys: [{file: receipts}]}
                """, skills: 1, receiptMember: "receipt",
            prepare: { try TestBed.write("canary-signing-key-of-at-least-32-bytes", to: "receipts", in: $0) }, body)
    }

    private static func from(_ id: String) -> String {
        "T  orders sends a message for the skill weather (request \(id), by api-key, from 127.0.0.1)"
    }

    private static let kept = "a retry is answered 202, and not sent, until T"
    private static let accepted = "Amazon's request id is UUID; it took N ms"
    private static let unknown =
        "T  it was sent in NA, at the first attempt, and whether Amazon accepted it is unknown: outcome unknown (504, outcome-unknown-connection-lost); it took N ms"
    private static let unknownRecord =
        "T  its record says: the outcome is unknown; a retry is not sent, without consent to a duplicate, until T"

    @Test func `the stories of ten messages`() async throws {
        try await Self.with("{file: {directory: records}}") { bed in
            // 1: accepted, repeated, and asked for. Reported by its skill, twice.
            #expect(try await bed.send("NA-1", Self.fields("one", "one-1")).status == 202)
            #expect(try await bed.send("NA-1", Self.fields("one", "one-2")).status == 202)
            let receipt = try #require(try await bed.acceptedMessages().first?.data["receipt"])
            try await Self.report(receipt, "one-3", bed)
            try await Self.report(receipt, "one-4", bed)
            _ = try await TestBed.transfer(
                "GET", bed.url + "/v1/idempotency-keys/one", "",
                ["Authorization": "Bearer \(TestBed.apiKey)", "X-Request-Id": "one-5"])
            // 2: a token that is refused once.
            try await bed.setFaults(#"{"NA": {"status": 403, "count": 1}}"#)
            #expect(try await bed.send("NA-2", Self.fields("two", "two-1")).status == 202)
            // 3: found elsewhere. 4: nowhere.
            try await bed.setFaults("{}")
            #expect(try await bed.send("FE-3", Self.fields("three", "three-1", region: nil)).status == 202)
            #expect(try await bed.send("GONE-4", Self.fields("four", "four-1", region: nil)).status == 404)
            // 5: throttled.
            try await bed.setFaults(#"{"NA": {"status": 429, "count": 1}}"#)
            #expect(try await bed.send("NA-5", Self.fields("five", "five-1")).status == 429)
            // 6: unknown, and repeated. 7: unknown, and settled by its sender. 8: unknown, and proven by its skill.
            try await bed.setFaults(#"{"NA": {"connection": "resetAfterRead", "accept": true}}"#)
            for key in ["six", "seven", "eight"] {
                #expect(try await bed.send("NA-6", Self.fields(key, "\(key)-1")).status == 504)
            }
            try await bed.setFaults("{}")
            #expect(try await bed.send("NA-6", Self.fields("six", "six-2")).status == 504)
            let settled = try await TestBed.transfer(
                "PUT", bed.url + "/v1/idempotency-keys/seven", #"{"state":"accepted"}"#,
                [
                    "Authorization": "Bearer \(TestBed.apiKey)", "X-Request-Id": "seven-2",
                    "Content-Type": "application/json",
                ])
            #expect(settled.status == 200, "\(settled.text)")
            try await Self.report(
                try #require(try await bed.acceptedMessages().last?.data["receipt"]), "eight-2", bed)
            // 9: a key that was used for another message.
            #expect(try await bed.send("NA-7", Self.fields("one", "nine-1")).status == 422)
            // 10: refused.
            #expect(try await bed.send("NA-1", Self.fields("ten", "ten-1"), content: "{}").status == 400)

            let log = bed.folder.appendingPathComponent("access.log")
            try await bed.until("all are in the log") {
                let text = try String(contentsOf: log, encoding: .utf8)
                let audit = try String(contentsOf: bed.folder.appendingPathComponent("audit.log"), encoding: .utf8)
                return text.contains(#""ten-1""#) && text.contains(#""eight-2""#) && audit.contains(#""ten-1""#)
            }
            try await Self.expect(
                "one", bed,
                [
                    Self.from("one-1"), "T  Amazon accepts it in NA, at the first attempt: 202; \(Self.accepted)",
                    Self.from("one-2"),
                    "T  it is a duplicate: answered 202 as the first was, and not sent; \(Self.accepted)",
                    "T  the skill weather reports that it has received the message",
                    "T  the skill weather reports it once more",
                    "T  orders asks what became of its key",
                    Self.from("nine-1"),
                    "T  the gateway refuses it, and sends nothing: idempotency key used for another message (422, idempotency-key-reused); it took N ms",
                    "T  its record says: accepted in NA, Amazon's request id UUID, received by the skill at T; \(Self.kept)",
                ])
            try await Self.expect(
                "two-1", bed,
                [
                    Self.from("two-1"), "T  Amazon accepts it in NA, at attempt 2: 202; \(Self.accepted)",
                    "T  its record says: accepted in NA, Amazon's request id UUID; \(Self.kept)",
                ])
            try await Self.expect(
                "three", bed,
                [
                    Self.from("three-1"), "T  Amazon accepts it in FE, at attempt 3: 202; \(Self.accepted)",
                    "T  its record says: accepted in FE, Amazon's request id UUID; \(Self.kept)",
                ])
            try await Self.expect(
                "four", bed,
                [
                    Self.from("four-1"),
                    "T  Amazon does not know the user in FE, at attempt 3: 404; \(Self.accepted)",
                ])
            try await Self.expect(
                "five", bed,
                [
                    Self.from("five-1"),
                    "T  Amazon throttles the skill in NA, at the first attempt: 429; it was not accepted; it took N ms",
                ])
            try await Self.expect(
                "six", bed,
                [
                    Self.from("six-1"), Self.unknown, Self.from("six-2"),
                    "T  it is a duplicate of a message whose outcome is unknown: answered 504, and not sent; it took N ms",
                    Self.unknownRecord,
                ])
            try await Self.expect(
                "seven-1", bed,
                [
                    Self.from("seven-1"), Self.unknown,
                    "T  orders says that Amazon accepted the message: its outcome is settled",
                    "T  its record says: accepted; \(Self.kept)",
                ])
            try await Self.expect(
                "eight", bed,
                [
                    Self.from("eight-1"), Self.unknown,
                    "T  the skill weather reports that it has received the message, which proves that Amazon accepted it",
                    "T  its record says: accepted, received by the skill at T; \(Self.kept)",
                ])
            // The same record, so the same story.
            let (nine, one) = (try await Self.tell("nine-1", bed), try await Self.tell("one", bed))
            #expect(nine.split(separator: "\n").dropLast() == one.split(separator: "\n").dropLast())
            try await Self.expect(
                "ten-1", bed,
                [
                    Self.from("ten-1"),
                    "T  the gateway refuses it, and sends nothing: invalid message (400, message-invalid); it took N ms",
                ])

            // By Amazon's name for it, and from logs that were moved.
            let amazon = try #require(try await bed.acceptedMessages().first?.requestId)
            #expect(try await Self.tell(amazon, bed).contains("(request one-1,"))
            try FileManager.default.moveItem(at: log, to: bed.folder.appendingPathComponent("access.log.1"))
            #expect(try await Self.tell("two", bed).contains("(request two-1,"))
            try FileManager.default.moveItem(
                at: bed.folder.appendingPathComponent("access.log.1"),
                to: bed.folder.appendingPathComponent("elsewhere"))
            #expect(
                try await Self.tell("two", bed, ["--log", bed.folder.path + "/elsewhere"]).contains("(request two-1,"))
        }
    }

    @Test func `messages that share a request or its name are told apart`() async throws {
        try await Self.with("{file: {directory: records}}") { bed in
            // One report of two messages, and a request that is called the same.
            for key in ["one", "two"] {
                #expect(try await bed.send("NA-1", Self.fields(key, "same")).status == 202)
            }
            let receipts = try await bed.acceptedMessages().compactMap { $0.data["receipt"] }
            let ids = receipts.map { #""\#($0)""# }.joined(separator: ",")
            let report = try await TestBed.transfer("POST", bed.url + "/v1/receipts", #"{"ids":[\#(ids)]}"#)
            #expect(report.status == 200)
            try await bed.until("it is in the log") {
                let log = try String(contentsOf: bed.folder.appendingPathComponent("access.log"), encoding: .utf8)
                return log.split(separator: "\n").count == 4
            }
            let one = Self.timeless(try await Self.tell("one", bed))
            #expect(one.count == 4 && one.filter { $0.contains("sends a message") }.count == 1, "\(one)")
            let both = Self.timeless(try await Self.tell("same", bed))
            #expect(both.filter { $0.hasPrefix("record ") }.count == 2 && both.count == 10, "\(both)")
            // What stands in a file of a stranger's is text, whatever it says.
            let file = bed.folder.appendingPathComponent("strange")
            try Data(
                (#"{"time":"\u001b[2J","id":"one","status":202,"durationMilliseconds":1e300}"# + "\n{\"id\":\"one\"\n")
                    .utf8
            ).write(to: file)
            let strange = try await Self.tell("one", bed, ["--log", file.path])
            #expect(strange.contains(#"\u{1b}[2J"#) && !strange.contains("\u{1b}"))
        }
    }

    @Test func `a record in Redis is read, and what cannot be is said`() async throws {
        let redis = try RedisProcess.plain()
        try await redis.start()
        defer { Task { await redis.stop() } }
        try await Self.with("{store: redis, redis: {url: 'redis://127.0.0.1:\(redis.port)'}}") { bed in
            try await bed.untilStore(isUp: true)
            #expect(try await bed.send("NA-1", Self.fields("one", "one-1")).status == 202)
            #expect(try await Self.tell("one", bed).contains("its record says: accepted in NA"))
        }
        try await Self.with("{}") { bed in
            #expect(try await bed.send("NA-1", Self.fields("one", "one-1")).status == 202)
            try await bed.until("it is in the log") {
                try String(contentsOf: bed.folder.appendingPathComponent("access.log"), encoding: .utf8).contains(
                    "one-1")
            }
            let text = try await Self.tell("one-1", bed)
            #expect(text.contains("records may be missing: they are in the memory of the gateway's process"))
            let process = try RunningProcess(
                RunningProcess.skillgate, ["trace", "other", "--config", bed.folder.path + "/skillgate.yaml"])
            #expect(await process.output().contains("nothing is known of `other`"))
            #expect(await process.exitStatus() == 65)
        }
    }
}
