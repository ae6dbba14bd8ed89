package import NIOCore

/// Writes pieces one behind the other into memory that has room for all of them.
///
/// A piece that is written to a `ByteBuffer` by itself asks whether there is room for it, and whether the memory is the buffer's own: for most
/// pieces that is more work than the piece.
package struct PieceWriter {
    private let memory: UnsafeMutableRawBufferPointer
    /// Bytes written so far.
    private(set) var count = 0

    fileprivate init(_ memory: UnsafeMutableRawBufferPointer) {
        self.memory = memory
    }

    package mutating func write(_ byte: UInt8) {
        memory[place(for: 1)] = byte
    }

    /// The most significant byte first, as in all of these.
    package mutating func write(_ word: UInt16) {
        memory.storeBytes(of: word.bigEndian, toByteOffset: place(for: 2), as: UInt16.self)
    }

    package mutating func write(_ word: UInt32) {
        memory.storeBytes(of: word.bigEndian, toByteOffset: place(for: 4), as: UInt32.self)
    }

    /// Overwrites what was written at `offset`.
    mutating func set(_ word: UInt32, at offset: Int) {
        precondition(offset >= 0 && offset <= count - 4, "nothing was written there")
        memory.storeBytes(of: word.bigEndian, toByteOffset: offset, as: UInt32.self)
    }

    /// What was written from `offset` on is to be written over.
    mutating func goBack(to offset: Int) { count = min(max(0, offset), count) }

    package mutating func write(_ word: UInt64) {
        memory.storeBytes(of: word.bigEndian, toByteOffset: place(for: 8), as: UInt64.self)
    }

    package mutating func write(_ text: StaticString) {
        write(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    package mutating func write(_ text: String) {
        let isContiguous: Void? = text.utf8.withContiguousStorageIfAvailable { write(UnsafeRawBufferPointer($0)) }
        if isContiguous == nil { for byte in text.utf8 { write(byte) } }
    }

    package mutating func write(_ bytes: ByteBuffer) {
        bytes.withUnsafeReadableBytes { write($0) }
    }

    package mutating func write(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        bytes.extracting(range).withUnsafeBytes { write($0) }
    }

    /// In decimal; 0 for a negative number, which should not come.
    package mutating func write(decimal value: Int) {
        var rest = max(0, value)
        var divisor = 1
        while rest / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            write(UInt8(truncatingIfNeeded: rest / divisor) + UInt8(ascii: "0"))
            rest %= divisor
            divisor /= 10
        }
    }

    /// 16 digits.
    package mutating func write(hexadecimal number: UInt64) {
        write(HexadecimalDigits.digits(of: UInt32(truncatingIfNeeded: number >> 32)))
        write(HexadecimalDigits.digits(of: UInt32(truncatingIfNeeded: number)))
    }

    /// A number as HPACK has it (RFC 7541 section 5.1).
    ///
    /// - Parameters:
    ///   - bits: of the first byte that belong to the number.
    ///   - pattern: the others.
    package mutating func writeHPACKInteger(_ value: Int, bits: Int, pattern: UInt8) {
        let mask = 1 << bits - 1
        guard value >= mask else { return write(pattern | UInt8(truncatingIfNeeded: value)) }
        write(pattern | UInt8(truncatingIfNeeded: mask))
        var rest = value - mask
        while rest >= 0x80 {
            write(UInt8(truncatingIfNeeded: rest & 0x7F | 0x80))
            rest >>= 7
        }
        write(UInt8(truncatingIfNeeded: rest))
    }

    private mutating func write(_ source: UnsafeRawBufferPointer) {
        guard let start = source.baseAddress, source.count > 0 else { return }
        let place = place(for: source.count)
        memory.baseAddress?.advanced(by: place).copyMemory(from: start, byteCount: source.count)
    }

    /// A limit that is too small is a mistake of ours, and must not write over what is somebody else's.
    private mutating func place(for bytes: Int) -> Int {
        precondition(bytes <= memory.count - count, "more is written than was said")
        defer { count += bytes }
        return count
    }
}

extension ByteBuffer {
    /// - Parameter limit: in bytes; what is written must not be more.
    package mutating func writePieces(limit: Int, _ write: (inout PieceWriter) -> Void) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: limit) { memory in
            var pieces = PieceWriter(
                UnsafeMutableRawBufferPointer(start: memory.baseAddress, count: min(limit, memory.count)))
            write(&pieces)
            return pieces.count
        }
    }
}
