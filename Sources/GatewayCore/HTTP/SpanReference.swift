package import NIOCore

/// Names one span of one trace, for those that come after it or have to do with it.
package struct SpanReference: Hashable, Sendable {
    /// Of its text.
    package static let characters = 55

    package let traceID: TraceID
    package let spanID: UInt64
    package let isSampled: Bool

    package init(traceID: TraceID, spanID: UInt64, isSampled: Bool) {
        (self.traceID, self.spanID, self.isSampled) = (traceID, spanID, isSampled)
    }

    /// The text that `text` gives; nil for any other.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard let context = TraceContext(parsing: bytes.span, 0..<bytes.count), let spanID = context.parentID else {
            return nil
        }
        self.init(traceID: context.id, spanID: spanID, isSampled: context.isSampled)
    }

    /// A value of `traceparent` (W3C Trace Context, section 3.2).
    package var text: String {
        var buffer = ByteBuffer()
        write(to: &buffer)
        return String(buffer: buffer)
    }

    package func write(to buffer: inout ByteBuffer) {
        buffer.writePieces(limit: Self.characters) { write(to: &$0) }
    }

    func write(to pieces: inout PieceWriter) {
        pieces.write("00-")
        traceID.write(to: &pieces)
        pieces.write("-")
        pieces.write(hexadecimal: spanID)
        pieces.write(isSampled ? "-01" : "-00")
    }
}
