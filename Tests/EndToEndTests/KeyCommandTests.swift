import Foundation
import TestSupport
import Testing

@Suite struct KeyCommandTests {
    private func run(_ arguments: String...) async throws -> (status: Int32, words: [String]) {
        let command = try RunningProcess(RunningProcess.skillgate, ["key"] + arguments)
        let status = await command.exitStatus()
        return (status, await command.output().split(whereSeparator: \.isWhitespace).map(String.init))
    }

    @Test func `a key is made, and its hash is the one that the configuration takes`() async throws {
        let first = try await run()
        #expect(first.status == 0 && first.words.count == 4)
        let (key, hash) = (first.words[1], first.words[3])
        #expect(key.hasPrefix("sgk_") && key.utf8.count == 47)
        #expect(try await run().words[1] != key)
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("key-\(UUID().uuidString)")
        try Data((key + "\n").utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        #expect(try await run("--hash", file.path).words == [hash])
        try await TestBed.run(callers: "  - {name: hashed, apiKeys: [{sha256: \(hash)}], skills: [weather]}") { bed in
            let answer = try await RawConnection.with(port: bed.port) {
                try await $0.exchange(bed.request(user: "NA-1", authorization: "Bearer \(key)"))
            }
            #expect(answer?.status == 202)
        }
    }

    @Test func `a file that is not there is named`() async throws {
        let answer = try await run("--hash", "/nowhere/key")
        #expect(answer.status == 64)
        #expect(answer.words.joined(separator: " ") == "cannot read /nowhere/key: No such file or directory")
    }
}
