import TestSupport
import Testing

@testable import GatewayCore

@Suite struct HuffmanMemoryTests {
    /// Of `www.example.com`, `no-cache` and `custom-key` (RFC 7541 appendix C.4).
    private static let codes: [(code: [UInt8], text: String)] = [
        ([0xF1, 0xE3, 0xC2, 0xE5, 0xF2, 0x3A, 0x6B, 0xA0, 0xAB, 0x90, 0xF4, 0xFF], "www.example.com"),
        ([0xA8, 0xEB, 0x10, 0x64, 0x9C, 0xBF], "no-cache"),
        ([0x25, 0xA8, 0x49, 0xE9, 0x5B, 0xA9, 0x7D, 0x7F], "custom-key"),
    ]

    @Test func `decodes as the code does, whatever the blocks before it held`() {
        var generator = SeededGenerator(seed: 11)
        var memory = HuffmanMemory()
        for _ in 0..<500 {
            memory.startBlock()
            var (decoded, expected) = ([UInt8](), "")
            for _ in 0..<Int.random(in: 0..<40, using: &generator) {
                let (code, text) = Self.codes[Int.random(in: 0..<3, using: &generator)]
                expected += text
                #expect(memory.decode(code.span, 0..<code.count, to: &decoded))
            }
            #expect(String(decoding: decoded, as: UTF8.self) == expected)
        }
    }

    @Test func `what is no code is none each time, and harms nothing`() {
        let (code, text) = Self.codes[0]
        var memory = HuffmanMemory()
        var decoded: [UInt8] = []
        for _ in 0..<3 {
            memory.startBlock()
            let cut = memory.decode(code.span, 0..<code.count - 1, to: &decoded)
            #expect(!cut && decoded.isEmpty)
        }
        memory.startBlock()
        #expect(memory.decode(code.span, 0..<code.count, to: &decoded))
        #expect(String(decoding: decoded, as: UTF8.self) == text)
    }

    @Test func `an empty string, and one that is too long to be remembered`() {
        // Eight times `a`, which has five bits.
        let eight: [UInt8] = [0x18, 0xC6, 0x31, 0x8C, 0x63]
        let long = (0..<20).flatMap { _ in eight }
        var memory = HuffmanMemory()
        for _ in 0..<3 {
            memory.startBlock()
            var decoded: [UInt8] = []
            #expect(memory.decode(long.span, 0..<0, to: &decoded))
            #expect(memory.decode(long.span, 0..<long.count, to: &decoded))
            #expect(decoded == [UInt8](repeating: UInt8(ascii: "a"), count: 160))
        }
    }
}
