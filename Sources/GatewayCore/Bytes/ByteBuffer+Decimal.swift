package import NIOCore

extension ByteBuffer {
    /// Writes `value` in decimal without making a string of it. Negative values are written as 0; none should come.
    package mutating func writeDecimal(_ value: Int) {
        writePieces(limit: 20) { $0.write(decimal: value) }
    }
}
