import TestSupport
import Testing

@testable import GatewayCore

@Suite struct SpanScanningTests {
    /// The same, one byte after the other.
    private static func first(_ bytes: [UInt8], from start: Int, where isEnd: (UInt8) -> Bool) -> Int {
        bytes[start...].firstIndex(where: isEnd) ?? bytes.count
    }

    @Test func `every byte at every place is found, or is not, as when looked at one by one`() {
        for length in 0...20 {
            for place in 0..<length {
                for byte in UInt8.min...UInt8.max {
                    var bytes = Array(repeating: UInt8(ascii: "a"), count: length)
                    bytes[place] = byte
                    check(bytes, from: 0)
                }
            }
        }
    }

    @Test func `random bytes are scanned as when looked at one by one`() {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<20_000 {
            let length = Int.random(in: 0..<40, using: &random)
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            check(bytes, from: Int.random(in: 0...length, using: &random))
        }
    }

    @Test func `sets of characters hold what the grammar says, and nothing else`() {
        let alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
        for byte in UInt8.min...UInt8.max {
            #expect(PercentEncoding.isUnreserved(byte) == (alphanumeric + "-._~").utf8.contains(byte), "\(byte)")
            #expect(
                isTokenCharacter(byte) == (alphanumeric + "!#$%&'*+-.^_`|~").utf8.contains(byte), "\(byte)")
        }
    }

    @Test(
        arguments: ["te", "expect[", "location", "forwarded", "content-encoding", "idempotency-key[{@`"]
            as [StaticString])
    func `the case of ASCII letters does not count, and any other difference does`(literal: StaticString) {
        let text = Array(literal.description.utf8)
        for place in text.indices {
            for byte in UInt8.min...UInt8.max {
                var bytes = [0x20] + text
                bytes[place + 1] = byte
                let isSame = String(UnicodeScalar(byte)).lowercased() == String(UnicodeScalar(text[place]))
                let isEqual = bytes.span.isEqualIgnoringCase(1..<bytes.count, to: literal)
                #expect(isEqual == (isSame && byte < 0x80), "\(bytes)")
            }
        }
        let isShorter = text.span.isEqualIgnoringCase(0..<text.count - 1, to: literal)
        #expect(!isShorter)
    }

    private func check(_ bytes: [UInt8], from start: Int) {
        let span = bytes.span
        let plain = span.endOfPlainJSON(from: start)
        let quote = span.firstQuoteOrBackslash(from: start)
        let control = span.firstControlCharacter(from: start)
        let lineFeed = span.first(0x0A, from: start)
        #expect(
            plain == Self.first(bytes, from: start) { $0 < 0x20 || $0 > 0x7F || $0 == 0x22 || $0 == 0x5C },
            "\(bytes) from \(start)")
        #expect(quote == Self.first(bytes, from: start) { $0 == 0x22 || $0 == 0x5C }, "\(bytes) from \(start)")
        #expect(control == Self.first(bytes, from: start) { $0 < 0x20 || $0 == 0x7F }, "\(bytes) from \(start)")
        let visible = span.endOfVisible(from: start)
        #expect(visible == Self.first(bytes, from: start) { $0 <= 0x20 || $0 >= 0x7F }, "\(bytes) from \(start)")
        let end = (start + bytes.count + 1) / 2
        let bounded = span.first(0x0A, in: start..<end)
        #expect(bounded == min(end, Self.first(bytes, from: start) { $0 == 0x0A }), "\(bytes) from \(start)")
        let unreserved = span.endOfUnreserved(in: start..<end)
        #expect(
            unreserved == min(end, Self.first(bytes, from: start) { !PercentEncoding.isUnreserved($0) }),
            "\(bytes) from \(start)")
        let token = span.endOfToken(from: start)
        #expect(
            token == Self.first(bytes, from: start) { !isTokenCharacter($0) }, "\(bytes) from \(start)")
        #expect(lineFeed == Self.first(bytes, from: start) { $0 == 0x0A }, "\(bytes) from \(start)")
    }
}
