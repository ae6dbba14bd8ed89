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
}
