import TestSupport
import Testing

@testable import GatewayCore

@Suite struct HexadecimalDigitsTests {
    private func word(_ text: String) -> UInt64 { text.utf8.reduce(0) { $0 << 8 | UInt64($1) } }

    @Test func `digits are those of the number, and lead back to it`() {
        var generator = SeededGenerator(seed: 1)
        for number in [0, 1, 9, 10, 15, 16, 0x0123_4567, 0x89AB_CDEF, .max]
            + (0..<1_000).map({ _ in generator.next(upperBound: UInt32.max) })
        {
            let text = String(number, radix: 16)
            let padded = String(repeating: "0", count: 8 - text.count) + text
            #expect(HexadecimalDigits.digits(of: number) == word(padded))
            #expect(HexadecimalDigits.number(of: word(padded)) == number)
        }
    }

    @Test func `whatever byte is no digit in lower case is found, at each place`() {
        let digits = Set("0123456789abcdef".utf8)
        for place in 0..<8 {
            for byte in UInt8.min ... .max {
                var bytes = Array("01abcdef".utf8)
                bytes[place] = byte
                let word = bytes.reduce(0) { $0 << 8 | UInt64($1) }
                #expect((HexadecimalDigits.number(of: word) != nil) == digits.contains(byte), "\(byte) at \(place)")
            }
        }
    }
}
