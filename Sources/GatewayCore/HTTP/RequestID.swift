package import NIOCore

/// Amazon's name for one accepted message (`X-Amzn-RequestId`), for support and for logs.
///
/// Nearly always a UUID in lower case. That form takes 16 bytes here, which is what millions of idempotency records
/// keep; any other text is kept as it came.
package enum RequestID: Equatable, Hashable, Sendable {
    /// The 128 bits of a UUID, most significant half first.
    case uuid(UInt64, UInt64)
    case text(String)

    /// Longer identifiers are not Amazon's, and a record must stay small.
    static let limitBytes = 128

    /// Nil for an empty or over-long value, or one with characters that are not visible ASCII.
    package init?(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        if let uuid = Self.uuid(bytes, range) {
            self = uuid
            return
        }
        guard (1...Self.limitBytes).contains(range.count) else { return nil }
        for index in range where !(0x21...0x7E).contains(bytes[index]) { return nil }
        self = .text(bytes.text(range))
    }

    private static let uuidCharacters = 36
    private static let hyphen = UInt8(ascii: "-")

    /// Only the one spelling that `write(to:)` gives back to the letter: lower case, hyphens at their places.
    private static func uuid(_ bytes: Span<UInt8>, _ range: Range<Int>) -> RequestID? {
        guard range.count == uuidCharacters else { return nil }
        let text = bytes.extracting(range)
        guard text[8] == hyphen, text[13] == hyphen, text[18] == hyphen, text[23] == hyphen,
            let first = HexadecimalDigits.number(of: eight(text, at: 0)),
            let second = HexadecimalDigits.number(of: four(text, at: 9) << 32 | four(text, at: 14)),
            let third = HexadecimalDigits.number(of: four(text, at: 19) << 32 | four(text, at: 24)),
            let fourth = HexadecimalDigits.number(of: eight(text, at: 28))
        else { return nil }
        return .uuid(UInt64(first) << 32 | UInt64(second), UInt64(third) << 32 | UInt64(fourth))
    }

    private static func eight(_ text: Span<UInt8>, at offset: Int) -> UInt64 {
        UInt64(bigEndian: text.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    private static func four(_ text: Span<UInt8>, at offset: Int) -> UInt64 {
        UInt64(UInt32(bigEndian: text.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    }

    package func write(to buffer: inout ByteBuffer) {
        buffer.writePieces(limit: characters) { write(to: &$0) }
    }

    /// Of what `write` writes.
    var characters: Int {
        switch self {
        case .text(let text): text.utf8.count
        case .uuid: Self.uuidCharacters
        }
    }

    func write(to pieces: inout PieceWriter) {
        switch self {
        case .text(let text):
            pieces.write(text)
        case .uuid(let high, let low):
            let second = HexadecimalDigits.digits(of: UInt32(truncatingIfNeeded: high))
            let third = HexadecimalDigits.digits(of: UInt32(truncatingIfNeeded: low >> 32))
            pieces.write(HexadecimalDigits.digits(of: UInt32(truncatingIfNeeded: high >> 32)))
            pieces.write(Self.hyphen)
            pieces.write(UInt32(truncatingIfNeeded: second >> 32))
            pieces.write(Self.hyphen)
            pieces.write(UInt32(truncatingIfNeeded: second))
            pieces.write(Self.hyphen)
            pieces.write(UInt32(truncatingIfNeeded: third >> 32))
            pieces.write(Self.hyphen)
            pieces.write(UInt32(truncatingIfNeeded: third))
            pieces.write(HexadecimalDigits.digits(of: UInt32(truncatingIfNeeded: low)))
        }
    }
}

extension RequestID: CustomStringConvertible {
    package var description: String {
        var buffer = ByteBuffer()
        write(to: &buffer)
        return String(buffer: buffer)
    }
}
