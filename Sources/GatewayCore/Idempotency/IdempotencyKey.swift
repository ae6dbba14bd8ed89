package import NIOCore

/// What a caller calls one message, so that sending it again is not sending it twice
/// (draft-ietf-httpapi-idempotency-key-header).
///
/// A quoted structured-field string (RFC 9651 section 3.3.3), or any visible ASCII without quotes; `"k"` and `k` are
/// the same key.
package struct IdempotencyKey: Equatable, Sendable {
    package static let limitCharacters = 255

    /// The key's characters, quotes and escapes undone.
    package let characters: ByteBuffer

    private static var form: String { "1 to \(limitCharacters) visible ASCII characters, or a quoted string" }

    package init(parsing value: Range<Int>, of head: ByteBuffer) throws(IdempotencyKeyError) {
        let bytes = head.readableBytesUInt8Span
        guard !value.isEmpty else {
            throw IdempotencyKeyError(detail: "field `Idempotency-Key` is empty; expected \(Self.form)")
        }
        if bytes[value.lowerBound] == UInt8(ascii: "\"") {
            characters = try Self.unquote(value, of: head)
        } else {
            for index in value where !(0x21...0x7E).contains(bytes[index]) {
                throw IdempotencyKeyError(
                    detail: "field `Idempotency-Key` contains a character that is not visible ASCII at position "
                        + "\(index - value.lowerBound + 1); expected \(Self.form)"
                )
            }
            characters = Self.slice(value, of: head)
        }
        guard (1...Self.limitCharacters).contains(characters.readableBytes) else {
            throw IdempotencyKeyError(
                detail: "field `Idempotency-Key` has \(characters.readableBytes) characters; expected \(Self.form)"
            )
        }
    }

    /// The key as a segment of a path: without quotes, percent-encoded.
    init(segment: Range<Int>, of head: ByteBuffer) throws(IdempotencyKeyError) {
        guard let decoded = PercentEncoding.decode(head.readableBytesUInt8Span, segment),
            (1...Self.limitCharacters).contains(decoded.count), decoded.allSatisfy({ (0x20...0x7E).contains($0) })
        else {
            throw IdempotencyKeyError(
                detail:
                    "the key in the path is not 1 to \(Self.limitCharacters) visible ASCII characters, percent-encoded")
        }
        characters = ByteBuffer(bytes: decoded)
    }

    /// The key in a member of the content.
    init(text: String, inMember member: String) throws(IdempotencyKeyError) {
        guard (1...Self.limitCharacters).contains(text.utf8.count), text.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
        else {
            throw IdempotencyKeyError(
                detail:
                    "member `\(member)` of `data` is the key, and is not 1 to \(Self.limitCharacters) visible ASCII "
                    + "characters")
        }
        characters = ByteBuffer(string: text)
    }

    /// - Parameter digest: of what the key stands for.
    init(contentDigest digest: [UInt8]) {
        characters = ByteBuffer(string: Self.contentPrefix + Base64.encodeForURL(digest))
    }

    /// For a message that has none, and has to have a record.
    init(randomBy generator: inout some RandomNumberGenerator) {
        let bytes = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        characters = ByteBuffer(string: "made-" + Base64.encodeForURL(bytes))
    }

    private static let contentPrefix = "content-"

    /// Whether it looks like a message's content.
    var isOfContent: Bool {
        characters.readableBytes == Self.contentPrefix.utf8.count + 43
            && characters.readableBytesView.starts(with: Self.contentPrefix.utf8)
    }

    private static func unquote(_ value: Range<Int>, of head: ByteBuffer) throws(IdempotencyKeyError) -> ByteBuffer {
        let bytes = head.readableBytesUInt8Span
        let inner = value.lowerBound + 1..<max(value.lowerBound + 1, value.upperBound - 1)
        guard value.count >= 2 && bytes[value.upperBound - 1] == UInt8(ascii: "\"") else {
            throw IdempotencyKeyError(detail: "field `Idempotency-Key` has an opening quote but no closing quote")
        }
        var unescaped: ByteBuffer?
        var index = inner.lowerBound
        while index < inner.upperBound {
            var byte = bytes[index]
            if byte == UInt8(ascii: "\\") {
                index += 1
                let escaped = index < inner.upperBound ? bytes[index] : 0
                guard escaped == UInt8(ascii: "\"") || escaped == UInt8(ascii: "\\") else {
                    throw IdempotencyKeyError(
                        detail: "field `Idempotency-Key` has a backslash not followed by `\"` or `\\`")
                }
                byte = escaped
                if unescaped == nil { unescaped = slice(inner.lowerBound..<index - 1, of: head) }
            } else if byte == UInt8(ascii: "\"") || !(0x20...0x7E).contains(byte) {
                throw IdempotencyKeyError(
                    detail: "field `Idempotency-Key` is not one quoted string of ASCII characters (position "
                        + "\(index - value.lowerBound + 1))"
                )
            }
            unescaped?.writeInteger(byte)
            index += 1
        }
        return unescaped ?? slice(inner, of: head)
    }

    private static func slice(_ range: Range<Int>, of head: ByteBuffer) -> ByteBuffer {
        head.getSlice(at: head.readerIndex + range.lowerBound, length: range.count) ?? ByteBuffer()
    }
}

/// Why a key is none; `detail` names where it stands and the rule that it breaks.
package struct IdempotencyKeyError: Error, Equatable {
    package let detail: String
}
