import NIOCore

/// Eight hexadecimal digits in lower case at a time, as the bytes of one word, the first in its most significant byte.
package enum HexadecimalDigits {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let lowHalves: UInt64 = 0x0F0F_0F0F_0F0F_0F0F

    /// The digits of a number.
    package static func digits(of number: UInt32) -> UInt64 {
        var nibbles = UInt64(number)
        nibbles = (nibbles | nibbles << 16) & 0x0000_FFFF_0000_FFFF
        nibbles = (nibbles | nibbles << 8) & 0x00FF_00FF_00FF_00FF
        nibbles = (nibbles | nibbles << 4) & lowHalves
        return spelled(nibbles)
    }

    /// The number that digits stand for; nil if there is anything else among them.
    static func number(of digits: UInt64) -> UInt32? {
        // Letters have a bit that figures do not have, and are 9 behind it.
        let letters = digits >> 6 & ones
        var nibbles = (digits & lowHalves) &+ 9 &* letters
        // What is none is not spelled like this.
        guard nibbles & ~lowHalves == 0, spelled(nibbles) == digits else { return nil }
        nibbles = (nibbles | nibbles >> 4) & 0x00FF_00FF_00FF_00FF
        nibbles = (nibbles | nibbles >> 8) & 0x0000_FFFF_0000_FFFF
        return UInt32(truncatingIfNeeded: nibbles | nibbles >> 16)
    }

    /// - Parameter nibbles: a number below 16 in each byte.
    private static func spelled(_ nibbles: UInt64) -> UInt64 {
        let letters = (nibbles &+ 6 &* ones) >> 4 & ones
        return nibbles &+ UInt64(UInt8(ascii: "0")) &* ones
            &+ UInt64(UInt8(ascii: "a") - UInt8(ascii: "9") - 1) &* letters
    }
}

extension ByteBuffer {
    /// 16 digits.
    mutating func writeHexadecimal(_ number: UInt64) {
        writePieces(limit: 16) { $0.write(hexadecimal: number) }
    }
}
