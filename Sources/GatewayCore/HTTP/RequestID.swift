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

    /// Only the one spelling that `write(to:)` gives back to the letter: lower case, hyphens at their places.
    private static func uuid(_ bytes: Span<UInt8>, _ range: Range<Int>) -> RequestID? {
        guard range.count == 36 else { return nil }
        var halves: (UInt64, UInt64) = (0, 0)
        var digits = 0
        for offset in 0..<36 {
            let byte = bytes[range.lowerBound + offset]
            if isHyphen(offset) {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard !(UInt8(ascii: "A")...UInt8(ascii: "F")).contains(byte), let digit = hexDigit(byte) else {
                return nil
            }
            if digits < 16 {
                halves.0 = halves.0 << 4 | UInt64(digit)
            } else {
                halves.1 = halves.1 << 4 | UInt64(digit)
            }
            digits += 1
        }
        return .uuid(halves.0, halves.1)
    }

    private static func isHyphen(_ offset: Int) -> Bool { offset == 8 || offset == 13 || offset == 18 || offset == 23 }

    package func write(to buffer: inout ByteBuffer) {
        switch self {
        case .text(let text):
            buffer.writeString(text)
        case .uuid(let high, let low):
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 36) { bytes in
                var digits = 0
                for offset in 0..<36 {
                    if Self.isHyphen(offset) {
                        bytes[offset] = UInt8(ascii: "-")
                        continue
                    }
                    let half = digits < 16 ? high : low
                    let digit = UInt8(truncatingIfNeeded: half >> UInt64((15 - digits % 16) * 4)) & 0xF
                    bytes[offset] = hexCharacter(digit)
                    digits += 1
                }
                return 36
            }
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
