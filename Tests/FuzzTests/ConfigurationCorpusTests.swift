import Foundation
import TestSupport
import Testing

@testable import skillgate

/// Whole configuration files, as they are in the corpus and with changes made at random.
struct ConfigurationCorpusTests {
    private func read(_ bytes: [UInt8]) {
        guard let yaml = String(validating: bytes, as: UTF8.self) else { return }
        do {
            _ = try GatewayConfiguration(
                yaml: yaml, fileName: "f", folder: "/nowhere", environment: ["SECRET": "s", "KEY": "0123456789abcdef"])
        } catch {
            #expect(!error.problems.isEmpty, "an error without a problem: \(yaml.debugDescription)")
            for problem in error.problems {
                let isLine = problem.description.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
                #expect(isLine, "a problem that is more than a line of text: \(problem.description.debugDescription)")
            }
        }
    }

    @Test func `no file crashes the reader, and each problem is one line`() throws {
        var generator = SeededGenerator(seed: 31)
        for bytes in try Corpus.files(of: "configuration") {
            read(bytes)
            for _ in 0..<150 {
                var changed = bytes
                for _ in 0..<Int.random(in: 1...4, using: &generator) {
                    guard !changed.isEmpty else { break }
                    let index = Int.random(in: 0..<changed.count, using: &generator)
                    switch Int.random(in: 0..<5, using: &generator) {
                    case 0: changed[index] = UInt8.random(in: 0...127, using: &generator)
                    case 1: changed.remove(at: index)
                    case 2:
                        changed.insert(
                            contentsOf: "[]{}&*!|>'\"%@`:-?#\n\t".utf8.randomElement(using: &generator).map { [$0] }
                                ?? [], at: index)
                    case 3: changed.removeSubrange(index..<min(changed.count, index + 20))
                    default: changed.insert(contentsOf: changed[index..<min(changed.count, index + 30)], at: index)
                    }
                }
                read(changed)
            }
        }
    }
}
