package import NIOCore

extension ByteBuffer {
    /// Writes `value` in decimal without making a string of it. Negative values are written as 0; none should come.
    package mutating func writeDecimal(_ value: Int) {
        var rest = max(0, value)
        if rest < 10 {
            writeInteger(UInt8(truncatingIfNeeded: rest) + UInt8(ascii: "0"))
            return
        }
        var divisor = 1
        while rest / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            writeInteger(UInt8(truncatingIfNeeded: rest / divisor) + UInt8(ascii: "0"))
            rest %= divisor
            divisor /= 10
        }
    }
}
