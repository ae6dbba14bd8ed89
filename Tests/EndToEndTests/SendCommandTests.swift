import Foundation
import TestSupport
import Testing

/// `skillgate send` as a person uses it.
@Suite(.serialized) struct SendCommandTests {
    private struct Result: Decodable {
        var line: Int
        var idempotencyKey: String
        var status: Int?
        var requestID: String?
        var detail: String?
    }

    private func send(_ bed: TestBed, _ arguments: [String], keyFile: String = "key") throws -> RunningProcess {
        try RunningProcess(
            RunningProcess.skillgate,
            ["send", "--gateway", bed.url, "--key-file", "\(bed.folder.path)/\(keyFile)"] + arguments)
    }

    /// With the file of messages as its standard input.
    private func fed(_ bed: TestBed, _ arguments: [String]) throws -> RunningProcess {
        let command = [RunningProcess.skillgate, "send", "--gateway", bed.url, "--key-file", bed.folder.path + "/key"]
        return try RunningProcess(
            "/bin/sh", ["-c", "exec \"$@\" < '\(bed.folder.path)/messages'", "sh"] + command + arguments)
    }

    /// Through another gateway, with the files of `bed`.
    private func send(_ gateway: TestBed, _ arguments: [String], results bed: TestBed) throws -> RunningProcess {
        try RunningProcess(
            RunningProcess.skillgate,
            ["send", "--gateway", gateway.url, "--key-file", bed.folder.path + "/key"] + arguments)
    }

    private func results(_ bed: TestBed) throws -> [Result] {
        try String(contentsOfFile: bed.folder.path + "/messages.results", encoding: .utf8).split(separator: "\n").map {
            try JSONDecoder().decode(Result.self, from: Data($0.utf8))
        }
    }

    @Test func `it waits until the skill has the messages`() async throws {
        let port = try FreePort.find()
        try await TestBed.run(
            configuration: "receipts: {signingKeys: [{file: receipts}]}", skills: 1, receiptMember: "receipt",
            listeners: "[{address: 127.0.0.1:\(port)}]",
            simulator: ["--receipts-to", "http://127.0.0.1:\(port)/v1/receipts"],
            prepare: { try TestBed.write("canary-signing-key-of-at-least-32-bytes", to: "receipts", in: $0) }
        ) { bed in
            // The answers of a fifth of them are lost: of more, the circuit would open.
            let faults = #"{"connection": "resetAfterRead", "accept": true, "probability": 0.2}"#
            try await bed.setFaults(#"{"NA": \#(faults), "skill": {"receiptsLate": 1, "lateMilliseconds": 200}}"#)
            let lines = (0..<40).map {
                #"{"userId":"amzn1.ask.account.NA-\#($0)","data":{"n":"\#($0)"},"region":"NA"}"#
            }
            try TestBed.write(lines.joined(separator: "\n"), to: "messages", in: bed.folder)
            let file = bed.folder.path + "/messages"
            let run = try send(bed, ["--file", file, "--wait"])
            #expect(await run.output().contains("received 40 of 40\n"))
            // Those that ended as unknown are known by their receipts.
            #expect(await run.exitStatus() == 0)
            #expect(try results(bed).filter { $0.status == 202 }.count == 40)
            #expect(try await bed.counters().accepted == 40)
            // One that the skill does not report is not waited for for ever.
            try await bed.setFaults(#"{"skill": {"receiptsLost": 1}}"#)
            let one = try send(
                bed, ["--user", "amzn1.ask.account.NA-1", "--region", "NA", "--idempotency-key", "one", "--wait"])
            try await bed.until("it has been accepted") { try await bed.counters().accepted == 41 }
            _ = try await one.line(with: "waiting until the skill has reported 1 messages")
            one.signal(SIGINT)
            #expect(await one.exitStatus() == 75)
            #expect(await one.output().contains("not received: line 1, key one\n"))
        }
    }

    @Test func `one message is sent, and its answer told`() async throws {
        try await TestBed.run { bed in
            let arguments = ["--user", "amzn1.ask.account.NA-1", "--data", #"{"a":"canary-value"}"#, "--region", "NA"]
            let accepted = try send(bed, arguments)
            #expect(await accepted.exitStatus() == 0)
            let output = await accepted.output()
            #expect(output.hasPrefix("202  request id ") && output.contains("\nkey send-"))
            // Run again, by a script or in doubt, it sends nothing twice; told so, it does.
            let again = try send(bed, arguments)
            #expect(await again.exitStatus() == 0)
            #expect(await again.output().contains("not sent again"))
            #expect(try await bed.counters().accepted == 1)
            let gone = try send(bed, ["--user", "amzn1.ask.account.GONE-1", "--region", "NA"])
            #expect(await gone.exitStatus() == 65)
            #expect(await gone.output().hasPrefix("404"))
            let wrong = try send(bed, ["--user", "amzn1.ask.account.NA-1", "--data", "{", "--region", "NA"])
            #expect(await wrong.exitStatus() == 64)
            #expect(try await bed.acceptedMessages().map(\.data) == [["a": "canary-value"]])
        }
    }

    @Test func `messages are checked, and nothing is sent`() async throws {
        try await TestBed.run(skills: 1) { bed in
            let one = try send(bed, ["--user", "amzn1.ask.account.EU-1", "--region", "EU", "--validate-only"])
            #expect(await one.exitStatus() == 0)
            #expect(await one.output().contains(#""region":"EU","regionFrom":"stated""#))
            let lines = [
                #"{"userId":"amzn1.ask.account.NA-1","data":{"n":"1"},"region":"NA"}"#,
                #"{"userId":"amzn1.ask.account.NA-2","data":{"n":"2"}}"#,
                #"{"userId":"amzn1.ask.account.NA-3","data":{"n":"3"},"region":"NA","skill":"other"}"#,
            ]
            try bed.replace("messages", with: lines.joined(separator: "\n"))
            let all = try send(bed, ["--file", bed.folder.path + "/messages", "--validate-only"])
            #expect(await all.exitStatus() == 65)
            let output = await all.output()
            #expect(output.contains("/messages:2: 400") && output.contains("/messages:3: 403"), "\(output)")
            #expect(output.contains(/200 +1  valid/), "\(output)")
            #expect(!FileManager.default.fileExists(atPath: bed.folder.path + "/messages.results"))
            #expect(try await bed.counters().received == 0)
        }
    }

    @Test func `a file is sent, goes on after an interruption, and sends nothing twice`() async throws {
        let count = 300
        try await TestBed.run(skills: 1) { bed in
            let lines = (1...count).map { number in
                let user = number == 7 ? "GONE-7" : "NA-\(number)"
                return #"{"userId":"amzn1.ask.account.\#(user)","data":{"n":"\#(number)"},"region":"NA"}"#
            }
            try bed.replace("messages", with: lines.joined(separator: "\n") + "\n\n")
            try await bed.setFaults(#"{"NA": {"latencyMilliseconds": 20}}"#)
            let arguments = ["--file", bed.folder.path + "/messages", "--concurrency", "4"]
            let first = try send(bed, arguments)
            try await bed.until("40 messages") { try await bed.counters().accepted >= 40 }
            first.signal(SIGINT)
            #expect(await first.exitStatus() == 75)
            #expect(await first.output().contains("not sent"))
            let done = try results(bed).count
            #expect(done >= 40 && done < count)

            // Killed in the middle of things, with half a line in the results.
            let second = try send(bed, arguments)
            try await bed.until("120 messages") { try await bed.counters().accepted >= 120 }
            second.signal(SIGKILL)
            _ = await second.exitStatus()
            let handle = try #require(FileHandle(forWritingAtPath: bed.folder.path + "/messages.results"))
            try handle.seekToEnd()
            try handle.write(contentsOf: Data((#"{"line":299,"idem"# + "\n").utf8))

            let third = try send(bed, arguments)
            #expect(await third.exitStatus() == 65, "one user is gone")
            let output = await third.output()
            #expect(output.contains("messages are already done"))
            #expect(output.contains("202              299") && output.contains("404                1"), "\(output)")
            let accepted = try await bed.acceptedMessages().compactMap { $0.data["n"] }
            #expect(accepted.count == count - 1)
            #expect(Set(accepted).count == count - 1, "none twice")
            let fourth = try send(bed, arguments)
            #expect(await fourth.exitStatus() == 65)
            #expect(try await bed.counters().accepted == count - 1)
        }
    }

    @Test func `lines that are put before, taken out or written twice change nothing for the others`() async throws {
        try await TestBed.run(skills: 1) { bed in
            func line(_ number: Int) -> String {
                #"{"userId":"amzn1.ask.account.NA-\#(number)","data":{"n":"\#(number)"},"region":"NA"}"#
            }
            func run(_ lines: [String], is status: Int32 = 0, results: String? = nil) async throws -> String {
                try bed.replace("messages", with: lines.joined(separator: "\n") + "\n")
                let command = try send(
                    bed, ["--file", bed.folder.path + "/messages"] + (results.map { ["--results", $0] } ?? []))
                #expect(await command.exitStatus() == status)
                return await command.output()
            }
            _ = try await run([line(1), line(2), line(2)])
            #expect(try await bed.counters().accepted == 3, "a line that is written twice is meant twice")
            #expect(try await run([line(3), line(1), line(2), line(2)]).contains("3 of 4 messages are already done"))
            #expect(try await bed.counters().accepted == 4)
            // Without the results, too: the gateway knows the keys.
            _ = try await run([line(2), line(4), line(1), line(2)], results: bed.folder.path + "/others")
            #expect(try await bed.counters().accepted == 5)
            // However it is written, and wherever the user is said to live.
            let rewritten = #"{ "region": "NA", "data": {"n": "\u0031"}, "userId": "amzn1.ask.account.NA-1" }"#
            #expect(try await run([line(2), rewritten]).contains("2 of 2 messages are already done"))
            let output = try await run([line(8), line(9)], is: 64)
            #expect(output.contains("messages.results contains results for messages other than those in"))
            #expect(try await bed.counters().accepted == 5)
        }
    }

    @Test func `with consent, what is in doubt is sent again`() async throws {
        try await TestBed.run { bed in
            let arguments = ["--user", "amzn1.ask.account.NA-1", "--region", "NA"]
            try await bed.setFaults(#"{"NA": {"connection": "resetAfterRead", "accept": true}}"#)
            #expect(try await (send(bed, arguments)).exitStatus() == 75)
            try await bed.setFaults("{}")
            #expect(try await (send(bed, arguments)).exitStatus() == 75)
            #expect(try await bed.counters().accepted == 1)
            #expect(try await (send(bed, arguments + ["--resend"])).exitStatus() == 0)
            #expect(try await bed.counters().accepted == 2)
        }
    }

    @Test func `messages come from standard input, too, and results go on where a killed run broke off`() async throws {
        try await TestBed.run { bed in
            try bed.replace("messages", with: #"{"userId":"amzn1.ask.account.NA-1","data":{},"region":"NA"}"#)
            try bed.replace("results", with: #"{"attempts":1,"idempot"#)
            let arguments = ["--file", "-", "--results", bed.folder.path + "/results"]
            for _ in 1...2 {
                let command = try fed(bed, arguments)
                let output = await command.output()
                #expect(await command.exitStatus() == 0, "\(output)")
            }
            #expect(try await bed.counters().received == 1)
            let results = try String(contentsOfFile: bed.folder.path + "/results", encoding: .utf8)
            #expect(results.split(separator: "\n").count == 2, "half a line and a whole one")
            let withoutResults = try fed(bed, ["--file", "-"])
            #expect(await withoutResults.exitStatus() == 64)
        }
    }

    @Test func `what becomes a field of the request is checked, and each message has a name of its own`() async throws {
        try await TestBed.run { bed in
            try bed.replace(
                "messages",
                with: #"""
                    {"userId":"amzn1.ask.account.NA-1","data":{},"idempotencyKey":"k\"\r\nIdempotency-Resend: ?1\r\nX: \""}
                    {"userId":"amzn1.ask.account.NA-1","data":{},"skill":"we\r\nX: y"}
                    {"userId":"amzn1.ask.account.NA-1","data":{},"idempotencyKey":"ä"}
                    {"userId":"amzn1.ask.account.NA-1","data":{},"idempotencyKey":"same"}
                    {"userId":"amzn1.ask.account.NA-2","data":{},"idempotencyKey":"same"}
                    {"userId":"amzn1.ask.account.NA-2","data":{},"idempotencyKey":"same","skill":"weather"}
                    {"userId":"x","data":{},"region":"NA","apiEndpoint":"https://api.amazonalexa.com"}
                    """#)
            let command = try send(bed, ["--file", bed.folder.path + "/messages"])
            #expect(await command.exitStatus() == 64)
            let lines = await command.output().replacingOccurrences(of: bed.folder.path + "/", with: "").split(
                separator: "\n")
            #expect(lines.map { String($0.prefix(11)) } == [1, 2, 3, 5, 7].map { "messages:\($0):" }, "\(lines)")
            #expect(lines.last?.contains("are both given") == true)
            #expect(try await bed.counters().received == 0)
        }
    }

    @Test func `a line that is mended is sent, and one of another skill is another message`() async throws {
        try await TestBed.run { bed in
            let arguments = ["--file", bed.folder.path + "/messages"]
            func run(_ text: String, keyFile: String = "key") async throws -> Int32 {
                try bed.replace("messages", with: text)
                return try await (send(bed, arguments, keyFile: keyFile)).exitStatus()
            }
            try bed.replace("stranger", with: "sgk_stranger-0123456789")
            let line = #"{"userId":"amzn1.ask.account.EU-1","data":{},"region":"NA","skill":"weather"}"#
            #expect(try await run(line, keyFile: "stranger") == 65)
            #expect(try await run(line) == 65, "the key was forgotten; it is not the message's fault")
            #expect(try await bed.counters().received == 1)
            #expect(try await run(line) == 65, "there is no such user in NA, however often it is asked")
            #expect(try await bed.counters().received == 1)
            #expect(try await run(line.replacingOccurrences(of: "NA\"", with: "EU\"")) == 0)
            #expect(try await bed.counters().accepted == 1)
            #expect(try await run(line.replacingOccurrences(of: "NA\"", with: "EU\"")) == 0)
            #expect(try await bed.counters().accepted == 1)
        }
    }

    @Test func `what is in doubt is asked about, and sent again with consent only, whatever the gateway has forgotten`()
        async throws
    {
        try await TestBed.run(skills: 1) { bed in
            try bed.replace("messages", with: #"{"userId":"amzn1.ask.account.NA-1","data":{},"region":"NA"}"#)
            let arguments = ["--file", bed.folder.path + "/messages"]
            try await bed.setFaults(#"{"NA": {"connection": "resetAfterRead", "accept": true, "count": 1}}"#)
            #expect(try await (send(bed, arguments)).exitStatus() == 75)
            // Another gateway knows nothing of it.
            try await bed.withReplica { (other: TestBed) async throws -> Void in
                #expect(try await (send(other, arguments, results: bed)).exitStatus() == 75)
                #expect(try await bed.counters().accepted == 1)
                #expect(try await (send(other, arguments + ["--resend"], results: bed)).exitStatus() == 0)
                #expect(try await bed.counters().accepted == 2)
            }
        }
    }

    @Test func `an interruption ends pauses, and a server that is no gateway accepts nothing`() async throws {
        try await TestBed.run(skills: 1) { bed in
            try bed.replace("messages", with: #"{"userId":"amzn1.ask.account.NA-1","data":{},"region":"NA"}"#)
            // The simulator's page is no gateway.
            let stranger = try RunningProcess(
                RunningProcess.skillgate,
                [
                    "send", "--gateway", bed.simulatorURL, "--key-file", bed.folder.path + "/key", "--user", "x",
                    "--attempts",
                    "1",
                ])
            #expect(await stranger.exitStatus() == 75)
            #expect(await stranger.output().contains("is no Skillgate gateway"))
            try await bed.setFaults(#"{"NA": {"status": 429, "retryAfter": 30}}"#)
            let patient = try send(bed, ["--file", bed.folder.path + "/messages"])
            try await bed.untilMetric(#"skillgate_upstream_attempts_total{region="NA",reason="first"}"#, is: 1)
            patient.signal(SIGINT)
            #expect(await patient.exitStatus() == 75)
            for wrong in ["", "ftp://127.0.0.1", "http://127.0.0.1/path"] {
                let command = try RunningProcess(
                    RunningProcess.skillgate, ["send", "--gateway", wrong, "--user", "x"])
                #expect(await command.exitStatus() == 64)
            }
            #expect(
                try await (send(bed, ["--file", bed.folder.path + "/messages", "--region", "NA"])).exitStatus() == 64)
            let key = bed.folder.path + "/key"
            let before = try String(contentsOfFile: key, encoding: .utf8)
            let overwriting = ["--file", bed.folder.path + "/messages", "--results", key]
            #expect(try await (send(bed, overwriting)).exitStatus() == 64)
            #expect(try String(contentsOfFile: key, encoding: .utf8) == before)
        }
    }

    @Test func `an API key that is none is not sent`() async throws {
        try await TestBed.run { bed in
            for (key, isTaken) in [("a b", false), ("a\r\nX: y", false), ("", false), ("wrong", true)] {
                try bed.replace("odd", with: key)
                let command = try send(bed, ["--user", "x"], keyFile: "odd")
                #expect(await command.exitStatus() == (isTaken ? 65 : 64), "\(key)")
            }
        }
    }

    @Test func `mistakes are named by line before anything is sent`() async throws {
        try await TestBed.run { bed in
            try bed.replace(
                "messages",
                with: """
                    {"userId":"amzn1.ask.account.NA-1","data":{}}
                    {"userID":"x","data":{}}
                    {"userId":"x"}
                    {"userId":"x","data":{},"data":{}}
                    not json
                    {"userId":"x","data":{},"region":"US"}
                    {"userId":"x","data":{},"expiresAfterSeconds":59}
                    {"userId":"a/b","data":{}}
                    {"userId":"x","data":{},"apiEndpoint":"ftp://x"}
                    """)
            let command = try send(bed, ["--file", bed.folder.path + "/messages"])
            #expect(await command.exitStatus() == 64)
            let output = await command.output().replacingOccurrences(of: bed.folder.path + "/", with: "")
            #expect(
                output == """
                    messages:2: unknown member `userID`; did you mean `userId`?
                    messages:3: member `data` is missing; expected an object of strings
                    messages:4: member `data` is given twice
                    messages:5: the content is not a JSON object; expected {"data": {…}, "expiresAfterSeconds": …}
                    messages:6: member `region` is "US"; expected NA, EU or FE
                    messages:7: member `expiresAfterSeconds` is 59; expected an integer from 60 to 86400
                    messages:8: the userId contains a slash or a backslash, percent-encoded or not
                    messages:9: member `apiEndpoint` is "ftp://x"; expected a URL as in a skill's request

                    """)
            #expect(try await bed.counters().received == 0)
        }
    }

    @Test func `what may go better later is tried again, and told from what may not`() async throws {
        try await TestBed.run(skills: 1) { bed in
            try bed.replace("messages", with: #"{"userId":"amzn1.ask.account.NA-1","data":{},"region":"NA"}"#)
            try await bed.setFaults(#"{"NA": {"status": 429, "count": 2}}"#)
            let arguments = ["--file", bed.folder.path + "/messages"]
            let patient = try send(bed, arguments)
            #expect(await patient.exitStatus() == 0)
            #expect(try await bed.counters().received == 3)

            try bed.replace("messages", with: #"{"userId":"amzn1.ask.account.NA-2","data":{},"region":"NA"}"#)
            try await bed.setFaults(#"{"NA": {"connection": "resetAfterRead", "accept": true}}"#)
            let others = arguments + ["--results", bed.folder.path + "/others"]
            let unknown = try send(bed, others)
            #expect(await unknown.exitStatus() == 75, "what became of it is not known")
            try await bed.setFaults("{}")
            let again = try send(bed, others)
            #expect(await again.exitStatus() == 75)
            #expect(try await bed.counters().accepted == 2, "and it is not sent again")
        }
    }
}
