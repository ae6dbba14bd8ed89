import GatewayCore
import NIOCore

/// The names of records in Redis: the prefix, a colon, and the scope in base64url (RFC 4648 section 5).
struct RecordKeys {
    private static let scopeCharacters = 43
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    let prefix: String

    /// The key that tells whether the records of all were lost. It cannot be taken for a record: it is shorter.
    var epoch: String { prefix + ":epoch" }

    /// For a node of a cluster: one of a series, each in a slot of its own.
    func epoch(_ number: Int) -> String { "\(prefix):{\(number)}:epoch" }

    /// Whether all keys are in one slot, by the part of the prefix in braces.
    var shareOneSlot: Bool { prefix.contains("{") }

    var lengthOfRecordKey: Int { prefix.utf8.count + 1 + Self.scopeCharacters }

    func writeRecordKey(_ scope: IdempotencyScope, to buffer: inout ByteBuffer) {
        buffer.writeString(prefix)
        buffer.writeStaticString(":")
        // Eight words of 32 bits, read 6 bits at a time; the last character holds 4 of them.
        let words = [scope.words.0, scope.words.1, scope.words.2, scope.words.3]
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.scopeCharacters) { bytes in
            var (bits, count, next) = (UInt64(0), 0, 0)
            for word in words {
                for shift in stride(from: 56 as UInt64, through: 0, by: -8) {
                    bits = bits << 8 | (word >> shift & 0xFF)
                    count += 8
                    while count >= 6 {
                        count -= 6
                        bytes[next] = Self.alphabet[Int(bits >> UInt64(count) & 0x3F)]
                        next += 1
                    }
                }
            }
            bytes[next] = Self.alphabet[Int(bits << 2 & 0x3F)]
            return next + 1
        }
    }

    func recordKey(_ scope: IdempotencyScope) -> ByteBuffer {
        var buffer = ByteBuffer()
        writeRecordKey(scope, to: &buffer)
        return buffer
    }
}
