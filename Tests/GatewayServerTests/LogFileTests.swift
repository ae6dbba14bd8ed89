import Foundation
import GatewayCore
import NIOCore
import Testing

@testable import GatewayServer

@Suite struct LogFileTests {
    /// Its thread may be closed before it has begun with them.
    @Test func `what was handed over before the file is closed is in it`() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("logs-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for number in 0..<1000 {
            let path = folder.appendingPathComponent("\(number).log").path
            let file = try LogFile(path: path)
            file.write(LogBatch(text: ByteBuffer(string: "a line\n"), lines: 1))
            try await file.close()
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "a line\n")
            #expect(file.droppedLines == 0)
        }
    }

    @Test func `a file that was renamed is reopened by its name, and no line is lost`() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("logs-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("access.log").path
        let file = try LogFile(path: path)
        func write(_ line: Int) { file.write(LogBatch(text: ByteBuffer(string: "\(line)\n"), lines: 1)) }
        for rotation in 1...20 {
            for line in 0..<50 { write(rotation * 100 + line) }
            try FileManager.default.moveItem(atPath: path, toPath: "\(path).\(rotation)")
            for line in 50..<100 { write(rotation * 100 + line) }
            try await file.reopen()
        }
        try await file.close()
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "")
        for rotation in 1...20 {
            let text = try String(contentsOfFile: "\(path).\(rotation)", encoding: .utf8)
            #expect(text == (0..<100).map { "\(rotation * 100 + $0)\n" }.joined())
        }
        #expect(file.droppedLines == 0)
    }

    @Test func `a file that cannot be reopened stays in use`() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("logs-\(UUID())")
        let moved = folder.path + "-moved"
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: moved) }
        let file = try LogFile(path: folder.appendingPathComponent("access.log").path)
        try FileManager.default.moveItem(atPath: folder.path, toPath: moved)
        let error = await #expect(throws: LogFile.OpeningError.self) { try await file.reopen() }
        #expect(error?.description.contains("No such file or directory") == true)
        file.write(LogBatch(text: ByteBuffer(string: "a line\n"), lines: 1))
        try await file.close()
        #expect(try String(contentsOfFile: moved + "/access.log", encoding: .utf8) == "a line\n")
        await #expect(throws: LogFile.OpeningError.self) { try await file.reopen() }
    }
}
