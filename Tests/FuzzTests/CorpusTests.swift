import Foundation
import FuzzTargets
import Testing

/// What fuzzing found once, and what it begins with, as plain tests. `Tests/fuzz` looks for more.
struct CorpusTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Fuzz/Corpora")

    @Test(arguments: FuzzTarget.allCases)
    func `no input of the corpus breaks a promise`(target: FuzzTarget) throws {
        let folder = Self.folder.appendingPathComponent(target.rawValue)
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        #expect(!files.isEmpty)
        for file in files {
            let bytes = Array(try Data(contentsOf: file))
            target.run(bytes)
            // And what is near it.
            for length in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 64)) {
                target.run(Array(bytes[..<length]))
            }
        }
    }
}
