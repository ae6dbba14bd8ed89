import Foundation
import Testing

/// Inputs as files, by what they are thrown at.
enum Corpus {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Fuzz/Corpora")

    static func files(of name: String) throws -> [[UInt8]] {
        try FileManager.default.contentsOfDirectory(
            at: folder.appendingPathComponent(name), includingPropertiesForKeys: nil
        ).sorted { $0.path < $1.path }.map { Array(try Data(contentsOf: $0)) }
    }
}

/// What fuzzing found once, and what it begins with, as plain tests. `Tests/fuzz` looks for more.
struct CorpusTests {
    @Test(arguments: FuzzTarget.allCases)
    func `no input of the corpus breaks a promise`(target: FuzzTarget) throws {
        let files = try Corpus.files(of: target.rawValue)
        #expect(!files.isEmpty)
        for bytes in files {
            target.run(bytes)
            // And what is near it.
            for length in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 64)) {
                target.run(Array(bytes[..<length]))
            }
        }
    }
}
