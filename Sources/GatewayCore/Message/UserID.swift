package import NIOCore

/// An Alexa user of one skill: the last segment of the path, as it came.
///
/// Kept percent-encoded or not, just as the caller wrote it; `canonical` is the one spelling that is sent and hashed.
package struct UserID: Equatable, Sendable {
    /// Amazon's are about 220 characters.
    package static let limitBytes = 512

    /// Percent-encoded, so that it is one path segment whatever the caller put into it.
    package let canonical: ByteBuffer

    /// As the skill knows it.
    var text: String {
        let bytes = PercentEncoding.decode(canonical.readableBytesUInt8Span, 0..<canonical.readableBytes)
        return String(decoding: bytes ?? [], as: UTF8.self)
    }

    package init(parsing segment: Range<Int>, of head: ByteBuffer) throws(UserIDError) {
        let bytes = head.readableBytesUInt8Span
        guard !segment.isEmpty else { throw UserIDError(detail: "the path has no userId after `users/`") }
        if bytes.endOfUnreserved(in: segment) == segment.upperBound {
            canonical = head.getSlice(at: head.readerIndex + segment.lowerBound, length: segment.count) ?? ByteBuffer()
        } else {
            guard let decoded = PercentEncoding.decode(bytes, segment) else {
                throw UserIDError(detail: "the userId has a `%` that is not followed by two hexadecimal digits")
            }
            guard decoded.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
                throw UserIDError(detail: "the userId contains a space or a control character")
            }
            // Some servers on the way decode them and see another path.
            guard !decoded.contains(where: { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") }) else {
                throw UserIDError(detail: "the userId contains a slash or a backslash, percent-encoded or not")
            }
            var encoded = ByteBuffer()
            PercentEncoding.encode(decoded.span, 0..<decoded.count, to: &encoded)
            canonical = encoded
        }
        guard canonical.readableBytes <= Self.limitBytes else {
            throw UserIDError(
                detail:
                    "the userId is \(canonical.readableBytes) bytes, \(canonical.readableBytes - Self.limitBytes) more than "
                    + "the \(Self.limitBytes) allowed"
            )
        }
        let text = canonical.readableBytesUInt8Span
        guard !text.isEqual(0..<text.count, to: ".") && !text.isEqual(0..<text.count, to: "..") else {
            throw UserIDError(detail: "the userId is a dot segment")
        }
    }
}

/// Why a userId is none; `detail` names the rule that it breaks.
package struct UserIDError: Error, Equatable {
    package let detail: String
}
