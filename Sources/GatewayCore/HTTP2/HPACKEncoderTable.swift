package import NIOCore

/// What the peer of one connection remembers of the fields that were sent to it (RFC 7541 section 2.3.2), by numbers: whoever writes the
/// fields knows what each stands for.
package struct HPACKEncoderTable {
    /// Never more, whatever the peer offers.
    private static let limitBytes = 4096

    /// Oldest first.
    private var sizes = CircularBuffer<Int>()
    private var size = 0
    private var limit = HPACKEncoderTable.limitBytes
    private var inserted = 0
    /// Sizes that the peer has to be told before the next field: the smallest since the last, and the one that holds (RFC 7541 section 4.2).
    private var resize: (smallest: Int, last: Int)?

    package init() {}

    /// The index of an entry on the wire; nil once the peer has forgotten it.
    package func index(of number: Int) -> Int? {
        let age = inserted - 1 - number
        return age < sizes.count ? HPACKStaticTable.count + 1 + age : nil
    }

    /// The number of a field that is sent now, to be remembered; nil if it is too large, and must not be.
    ///
    /// - Parameter bytes: of its name and value.
    package mutating func insert(bytes: Int) -> Int? {
        let entry = bytes + HPACKDynamicTable.overheadBytes
        guard entry <= limit else { return nil }
        evict(downTo: limit - entry)
        sizes.append(entry)
        size += entry
        inserted += 1
        return inserted - 1
    }

    /// The peer has said how large its table may be.
    package mutating func offered(_ bytes: Int) {
        let new = min(bytes, Self.limitBytes)
        guard new != limit else { return }
        limit = new
        evict(downTo: limit)
        resize = (min(resize?.smallest ?? new, new), new)
    }

    /// Written at the start of a header block.
    package mutating func writeResize(to buffer: inout ByteBuffer) {
        guard let resize else { return }
        if resize.smallest < resize.last { buffer.writeHPACKInteger(resize.smallest, bits: 5, pattern: 0x20) }
        buffer.writeHPACKInteger(resize.last, bits: 5, pattern: 0x20)
        self.resize = nil
    }

    private mutating func evict(downTo rest: Int) {
        while size > rest, let oldest = sizes.popFirst() { size -= oldest }
    }
}

extension ByteBuffer {
    /// RFC 7541 section 5.1.
    ///
    /// - Parameters:
    ///   - bits: of the first byte that belong to the number.
    ///   - pattern: the others.
    package mutating func writeHPACKInteger(_ value: Int, bits: Int, pattern: UInt8) {
        writePieces(limit: 11) { $0.writeHPACKInteger(value, bits: bits, pattern: pattern) }
    }

    /// A string as it is (RFC 7541 section 5.2): the code would save a fifth of its bytes, and cost more than sending them.
    package mutating func writeHPACKString(_ bytes: ByteBuffer) {
        writeHPACKInteger(bytes.readableBytes, bits: 7, pattern: 0)
        writeImmutableBuffer(bytes)
    }
}
