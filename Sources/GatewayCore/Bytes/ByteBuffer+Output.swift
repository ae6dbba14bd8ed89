package import NIOCore

/// A buffer that gathers what is to be written next.
extension ByteBuffer {
    /// Moves everything out. Writing can call back, and what is gathered then must not be mixed with what is being written.
    package mutating func takeAll() -> ByteBuffer {
        defer { self = ByteBuffer() }
        return self
    }

    /// Gathers in the memory of what has been written, unless something has been gathered meanwhile or that is more than `limitBytes`.
    package mutating func reuse(_ written: consuming ByteBuffer, limitBytes: Int) {
        guard storageCapacity == 0, written.storageCapacity <= limitBytes else { return }
        written.clear()
        self = written
    }
}
