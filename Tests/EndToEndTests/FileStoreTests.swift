import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// Records in files: what processes leave to each other, and a disk that is full.
@Suite struct FileStoreTests {
    private static let configuration = "idempotency: {file: {directory: records}}\neventLoops: 1"

    private func fields(_ key: String) -> [String: String] {
        ["Gateway-Region": "NA", "Idempotency-Key": "\"\(key)\""]
    }

    @Test func `what a killed process has sent, the next does not send again`() async throws {
        try await TestBed.run(configuration: Self.configuration, skills: 1) { bed in
            let first = try await bed.send("NA-1", fields("accepted"))
            #expect(first.status == 202)
            try await bed.setFaults(#"{"NA": {"latencyMilliseconds": 60000}}"#)
            async let cut = try? bed.send("NA-2", fields("cut"))
            try await bed.untilMessagesInFlight(1)
            bed.gateway.signal(SIGKILL)
            _ = await cut
            try await bed.setFaults("{}")
            let received = try await bed.counters().received
            try await bed.withReplica { next in
                let again = try await next.send("NA-1", fields("accepted"))
                #expect(again.status == 202 && again.field("Idempotent-Replayed") == "true", "\(again)")
                #expect(again.field("X-Amzn-RequestId") == first.field("X-Amzn-RequestId"))
                let waits = try await next.send("NA-2", fields("cut"))
                #expect([409, 504].contains(waits.status), "\(waits.text)")
                #expect(try await next.counters().received == received)
                try await next.until("doubt") { try await next.report("cut").contains("unknown") }
                // Who would rather have it twice than not at all.
                var consent = fields("cut")
                consent["Idempotency-Resend"] = "?1"
                #expect(try await next.send("NA-2", consent).status == 202)
                _ = try await next.gateway.line(with: "idempotency records are in files")
            }
        }
    }

    @Test(arguments: [false, true])
    func `an equal message is known again by the next process, on disk or in Redis`(isInRedis: Bool) async throws {
        let redis = try RedisProcess.plain()
        if isInRedis { try await redis.start() }
        defer { Task { await redis.stop() } }
        let store =
            isInRedis
            ? "{store: redis, redis: {url: 'redis://127.0.0.1:\(redis.port)'}}" : "{file: {directory: records}}"
        let key = "plain-canary-0123456789"
        try await TestBed.run(
            configuration: "idempotency: \(store)", skills: 1,
            callers:
                "  - {name: plain, apiKeys: [{file: plain-key}], skills: [weather], idempotencyKeyFrom: [content]}",
            prepare: { try TestBed.write(key, to: "plain-key", in: $0) }
        ) { bed in
            let fields = ["Gateway-Region": "NA"]
            if isInRedis { try await bed.untilStore(isUp: true) }
            let first = try await bed.send("NA-1", fields, key: key)
            #expect(first.status == 202)
            bed.gateway.signal(SIGKILL)
            _ = await bed.gateway.exitStatus()
            try await bed.withReplica { next in
                if isInRedis { try await next.untilStore(isUp: true) }
                let again = try await next.send("NA-1", fields, key: key)
                #expect(again.status == 202 && again.field("Idempotent-Replayed") == "true", "\(again)")
                #expect(again.field("Gateway-Idempotency-Key") == first.field("Gateway-Idempotency-Key"))
                #expect(try await next.send("NA-2", fields, key: key).field("Idempotent-Replayed") == nil)
                #expect(try await next.counters().accepted == 2)
            }
        }
    }

    @Test func `what a process learned of users, the next knows`() async throws {
        let configuration = Self.configuration + "\ndiscovery: probe"
        try await TestBed.run(configuration: configuration, skills: 1) { bed in
            #expect(try await bed.send("FE-1", [:]).status == 202)
            #expect(try await bed.send("gone-1", [:]).status == 404)
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
            let received = try await bed.counters().received
            try await bed.withReplica { next in
                let answer = try await next.send("FE-1", [:])
                #expect(answer.status == 202 && answer.field("Gateway-Region") == "FE")
                let gone = try await next.send("gone-1", [:])
                #expect(gone.status == 404 && gone.text.contains("user-gone"), "\(gone.text)")
                // One message, where the user lives; a process that knows nothing would have tried elsewhere first.
                #expect(try await next.counters().received == received + 1)
                let list = try await TestBed.transfer("GET", next.adminURL + "/api/gone-users")
                #expect(list.text.contains("gone-1"), "\(list.text)")
            }
        }
    }

    @Test func `a process waits for the one before it, and then knows what that one sent`() async throws {
        try await TestBed.run(configuration: Self.configuration, skills: 1) { bed in
            #expect(try await bed.send("NA-1", fields("one")).status == 202)
            let next = try RunningProcess(
                RunningProcess.skillgate, ["serve", "--config", bed.folder.path + "/skillgate.yaml"])
            defer { next.signal(SIGKILL) }
            let waiting = try await next.line(with: "waiting for another process to release the records")
            #expect(waiting.contains(#""process.pid":"\#(bed.gateway.processID)""#), "\(waiting)")
            #expect(try await bed.send("NA-1", fields("two")).status == 202)
            bed.gateway.signal(SIGTERM)
            #expect(await bed.gateway.exitStatus() == 0)
            let loaded = try await next.line(with: "idempotency records are in files")
            #expect(loaded.contains(#""gateway.store.records":"2""#), "\(loaded)")
        }
    }

    @Test(.enabled(if: geteuid() == 0, "mounting a file system takes root"), arguments: ["refuse", "forward"])
    func `a full disk is said, nothing is sent unrecorded, and it goes on by itself`(policy: String) async throws {
        let configuration = "idempotency: {file: {directory: disk/records, onStoreUnavailable: \(policy)}}"
        var mounted: String?
        defer { if let mounted { umount2(mounted, Int32(MNT_DETACH)) } }
        try await TestBed.run(
            configuration: configuration, skills: 1,
            prepare: { folder in
                let disk = folder.path + "/disk"
                try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
                try #require(mount("tmpfs", disk, "tmpfs", 0, "size=256k") == 0)
                mounted = disk
            }
        ) { bed in
            #expect(try await bed.send("NA-1", fields("before")).status == 202)
            let filler = bed.folder.path + "/disk/filler"
            #expect(FileManager.default.createFile(atPath: filler, contents: nil))
            let file = try #require(FileHandle(forWritingAtPath: filler))
            while (try? file.write(contentsOf: Data(count: 4096))) != nil {}
            // What is left of the last page of the file may take a few.
            var statuses: [Int] = []
            for number in 0..<60 {
                let answer = try await bed.send("NA-1", fields("full-\(number)"))
                statuses.append(answer.status)
                guard answer.status == 202, answer.field("Gateway-Deduplication") == nil else { break }
            }
            if policy == "refuse" {
                #expect(statuses.last == 503)
                #expect(try await bed.counters().received == statuses.count)
            } else {
                #expect(statuses.last == 202 && statuses.count < 60)
            }
            try await bed.untilMetric("skillgate_idempotency_store_up", is: 0)
            let readiness = try await TestBed.transfer("GET", bed.adminURL + "/readyz")
            #expect(readiness.status == 200 && readiness.text.contains("degraded"), "\(readiness.text)")
            #expect(try await bed.send("NA-1", fields("before")).field("Idempotent-Replayed") == "true")
            try file.close()
            try FileManager.default.removeItem(atPath: filler)
            try await bed.until("room") { try await bed.send("NA-1", fields("after")).status == 202 }
            try await bed.untilMetric("skillgate_idempotency_store_up", is: 1)
            try await bed.untilMetric("skillgate_idempotency_settlement_backlog", is: 0)
            let received = try await bed.counters().received
            bed.gateway.signal(SIGKILL)
            _ = await bed.gateway.exitStatus()
            try await bed.withReplica { next in
                for number in statuses.indices where statuses[number] == 202 {
                    let again = try await next.send("NA-1", fields("full-\(number)"))
                    #expect(again.field("Idempotent-Replayed") == "true", "\(number): \(again)")
                }
                #expect(try await next.counters().received == received)
            }
        }
    }

    @Test(arguments: ["refuse", "forward"])
    func `a disk that fails is said, nothing is sent unrecorded, and it goes on by itself`(policy: String) async throws
    {
        let configuration =
            "idempotency: {file: {directory: records, durability: machine, onStoreUnavailable: \(policy)}}"
        let library = try await PreloadedLibrary("failing-disk")
        defer { library.remove() }
        let folder = library.folder
        let environment = ["LD_PRELOAD": library.path, "FAILING_DISK": folder + "/fault"]
        try await TestBed.run(configuration: configuration, skills: 1, environment: environment) { bed in
            var accepted: [String] = []
            for fault in ["write", "half", "sync"] {
                #expect(try await bed.send("NA-1", fields("before-\(fault)")).status == 202)
                accepted.append("before-\(fault)")
                let received = try await bed.counters().received
                try Data(fault.utf8).write(to: URL(fileURLWithPath: folder + "/fault"), options: .atomic)
                let answer = try await bed.send("NA-1", fields("during-\(fault)"))
                if policy == "refuse" {
                    #expect(answer.status == 503 && answer.text.contains("store-unavailable"), "\(fault): \(answer)")
                    #expect(try await bed.counters().received == received)
                } else {
                    #expect(answer.status == 202 && answer.field("Gateway-Deduplication") != nil, "\(fault): \(answer)")
                }
                try await bed.untilMetric("skillgate_idempotency_store_up", is: 0)
                #expect(bed.gateway.log.contains("Input/output error"), "\(bed.gateway.log)")
                try FileManager.default.removeItem(atPath: folder + "/fault")
                try await bed.until("the disk") { try await bed.send("NA-1", fields("after-\(fault)")).status == 202 }
                try await bed.untilMetric("skillgate_idempotency_store_up", is: 1)
                try await bed.untilMetric("skillgate_idempotency_settlement_backlog", is: 0)
            }
            let received = try await bed.counters().received
            bed.gateway.signal(SIGKILL)
            _ = await bed.gateway.exitStatus()
            try await bed.withReplica { next in
                for key in accepted {
                    let again = try await next.send("NA-1", fields(key))
                    #expect(again.field("Idempotent-Replayed") == "true", "\(key): \(again)")
                }
                #expect(try await next.counters().received == received)
            }
        }
    }

    @Test(arguments: ["the folder", "the lock", "a file"])
    func `files that are taken away are missed, and nothing more is sent unrecorded`(what: String) async throws {
        try await TestBed.run(configuration: Self.configuration, skills: 1) { bed in
            #expect(try await bed.send("NA-1", fields("before")).status == 202)
            let folder = bed.folder.path + "/records"
            let name = try #require(
                try FileManager.default.contentsOfDirectory(atPath: folder).first { $0.hasSuffix(".log") })
            switch what {
            case "the folder": try FileManager.default.moveItem(atPath: folder, toPath: folder + "-away")
            case "the lock": try FileManager.default.removeItem(atPath: folder + "/lock")
            default: try FileManager.default.removeItem(atPath: "\(folder)/\(name)")
            }
            var number = 0
            try await bed.until("a refusal") {
                number += 1
                return try await bed.send("NA-1", fields("after-\(number)")).status == 503
            }
            try await bed.untilMetric("skillgate_idempotency_store_up", is: 0)
            let doctor = try await TestBed.transfer("GET", bed.adminURL + "/readyz")
            #expect(doctor.text.contains("degraded"), "\(doctor.text)")
            #expect(bed.gateway.log.contains("taken away"), "\(bed.gateway.log)")
        }
    }

    /// Runs `skillgate records` with the configuration of a bed.
    private func records(_ bed: TestBed, _ arguments: String...) async throws -> (status: Int32, output: String) {
        let command = try RunningProcess(
            RunningProcess.skillgate, ["records"] + arguments + ["--config", bed.folder.path + "/skillgate.yaml"])
        let output = await command.output()
        return (await command.exitStatus(), output)
    }

    @Test func `files that are damaged are named, and what is whole can be kept`() async throws {
        try await TestBed.run(configuration: Self.configuration, skills: 1) { bed in
            for number in 0..<4 { _ = try await bed.send("NA-1", fields("\(number)")) }
            let whole = try await records(bed, "check")
            #expect(whole.status == 0 && whole.output.contains("8 entries that are whole, 0 places"), "\(whole)")
            bed.gateway.signal(SIGKILL)
            _ = await bed.gateway.exitStatus()
            let folder = bed.folder.path + "/records"
            let name = try #require(
                try FileManager.default.contentsOfDirectory(atPath: folder).first { $0.hasSuffix(".log") })
            let file = try #require(FileHandle(forUpdatingAtPath: "\(folder)/\(name)"))
            // In the claim of the second message.
            try file.seek(toOffset: 64 + 2 * 96 + 30)
            try file.write(contentsOf: Data([1, 2, 3]))
            try file.close()
            let next = try RunningProcess(
                RunningProcess.skillgate, ["serve", "--config", bed.folder.path + "/skillgate.yaml"])
            #expect(await next.exitStatus() == 69)
            #expect(next.log.contains("\(name), byte 256: the entry there is damaged"), "\(next.log)")
            #expect(next.log.contains("skillgate records"), "\(next.log)")

            let check = try await records(bed, "check")
            #expect(
                check.status == 65 && check.output.contains("\(name), byte 256: the entry there is damaged"), "\(check)"
            )
            let repair = try await records(bed, "repair")
            #expect(repair.status == 0 && repair.output.contains("7 entries kept"), "\(repair)")
            let again = try await records(bed, "repair")
            #expect(again.output == "nothing is damaged\n")
            #expect(FileManager.default.fileExists(atPath: "\(folder)/\(name).damaged"))
            try await bed.withReplica { next in
                for number in 0..<4 {
                    let again = try await next.send("NA-1", fields("\(number)"))
                    #expect(again.field("Idempotent-Replayed") == "true", "\(number): \(again)")
                }
            }
        }
    }

    /// Exported lines, sorted, without what differs by the moment of the export.
    private static func withoutTimes(_ lines: String) -> [String] {
        lines.split(separator: "\n").filter { $0.hasPrefix("{") }.map {
            String($0.replacing(/"expires":[0-9]+/, with: ""))
        }.sorted()
    }

    @Test func `records are counted, and go over to Redis when one machine is not enough`() async throws {
        let redis = try RedisProcess.plain()
        try await redis.start()
        defer { Task { await redis.stop() } }
        try await TestBed.run(configuration: Self.configuration, skills: 1) { bed in
            let first = try await bed.send("NA-1", fields("one"))
            try await bed.setFaults(#"{"EU": {"connection": "resetAfterRead"}}"#)
            let lost = ["Gateway-Region": "EU", "Idempotency-Key": "\"two\""]
            #expect(try await bed.send("EU-1", lost).status == 504)
            let show = try await records(bed, "show")
            #expect(
                show.output.contains("2 records in 1 file,")
                    && show.output.contains("accepted 1, unknown 1, being sent 0"))
            #expect(show.output.contains("orders: 2"), "\(show)")
            let export = try await records(bed, "export")
            #expect(export.status == 0 && Self.withoutTimes(export.output).count == 2, "\(export)")
            // Without what goes to standard error.
            try bed.replace(
                "exported",
                with: export.output.split(separator: "\n").filter { $0.hasPrefix("{") }.joined(separator: "\n"))
            bed.gateway.signal(SIGTERM)
            _ = await bed.gateway.exitStatus()

            let yaml = try String(contentsOf: bed.folder.appendingPathComponent("skillgate.yaml"), encoding: .utf8)
            try bed.replace(
                "skillgate.yaml",
                with: yaml.replacingOccurrences(
                    of: "idempotency: {file: {directory: records}}",
                    with: "idempotency: {store: redis, redis: {url: 'redis://127.0.0.1:\(redis.port)'}}"))
            // One that nobody reaches takes nothing, and says so, also where messages would be sent all the same.
            let closed = try FreePort.find()
            try bed.replace(
                "nowhere.yaml",
                with: yaml.replacingOccurrences(
                    of: "idempotency: {file: {directory: records}}",
                    with:
                        "idempotency: {store: redis, redis: {url: 'redis://127.0.0.1:\(closed)', onStoreUnavailable: forward}}"
                ))
            let lostImport = try RunningProcess(
                RunningProcess.skillgate,
                ["records", "import", bed.folder.path + "/exported", "--config", bed.folder.path + "/nowhere.yaml"])
            let said = await lostImport.output()
            #expect(said.contains("cannot be reached"), "\(said)")
            #expect(await lostImport.exitStatus() == 69)
            for expected in ["2 imported, 0 known already, 0 expired", "0 imported, 2 known already, 0 expired"] {
                let imported = try await records(bed, "import", bed.folder.path + "/exported")
                #expect(imported.status == 0 && imported.output.contains(expected), "\(imported)")
            }
            // And back: the same records, the times to the millisecond aside.
            let back = try await records(bed, "export")
            #expect(back.status == 0 && Self.withoutTimes(back.output) == Self.withoutTimes(export.output), "\(back)")
            _ = try redis.command(arguments: ["SET", "skillgate:" + String(repeating: "A", count: 43), "nonsense"])
            let strange = try await records(bed, "export")
            #expect(
                strange.status == 65 && strange.output.contains("what 1 keys hold is no record")
                    && strange.output.split(separator: "\n").count == 4, "\(strange)")
            try await bed.withReplica { next in
                try await next.untilStore(isUp: true)
                let again = try await next.send("NA-1", fields("one"))
                #expect(again.status == 202 && again.field("Idempotent-Replayed") == "true", "\(again)")
                #expect(again.field("X-Amzn-RequestId") == first.field("X-Amzn-RequestId"))
                #expect(try await next.send("EU-1", lost).status == 504)
                #expect(try await next.counters().accepted == 1)
            }
        }
    }
}
