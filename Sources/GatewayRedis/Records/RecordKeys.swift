import GatewayCore
import NIOCore

/// The names of keys in Redis. That of a record is the prefix, a colon, and the scope in base64url (RFC 4648 section 5); no other key can
/// be taken for one.
struct RecordKeys {
    private static let scopeCharacters = 43
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    let prefix: String

    /// The key that tells whether the records of all were lost. It cannot be taken for a record: it is shorter.
    var epoch: String { prefix + ":epoch" }

    /// The key of a caller's rate.
    func rate(of caller: String) -> String { "\(prefix):rate:\(caller)" }

    /// The key of the replicas that count.
    var replicas: String { prefix + ":replicas" }

    /// The key of what replicas report of a skill that Amazon throttles.
    func quota(of skill: String, in region: Region) -> String { "\(prefix):quota:\(skill):\(region.name)" }

    /// The key of what is certain of a user.
    func user(_ user: SharedUserID) -> String { "\(prefix):user:\(user.user)" }

    /// The key of what callers say of a user, or of another one.
    func statements(_ user: SharedUserID) -> String { "\(prefix):said:\(user.skill):\(user.place)" }

    /// The key of the span under which a record's message was sent.
    func trace(of record: IdempotencyScope) -> String { "\(String(buffer: recordKey(record))):trace" }

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

    /// What `SCAN` finds the keys of records by, and a few others.
    var pattern: String {
        prefix.reduce(into: "") { pattern, character in
            if "*?[]\\^".contains(character) { pattern.append("\\") }
            pattern.append(character)
        } + ":" + String(repeating: "?", count: Self.scopeCharacters)
    }

    /// Nil for a key that is none of a record.
    func scope(ofRecordKey key: String) -> IdempotencyScope? {
        guard key.utf8.count == lengthOfRecordKey, key.hasPrefix(prefix + ":") else { return nil }
        var words: [UInt64] = []
        var (bits, count, word, bytes) = (UInt64(0), 0, UInt64(0), 0)
        for character in key.utf8.suffix(Self.scopeCharacters) {
            guard let value = Self.alphabet.firstIndex(of: character) else { return nil }
            bits = bits << 6 | UInt64(value)
            count += 6
            guard count >= 8 else { continue }
            count -= 8
            word = word << 8 | (bits >> UInt64(count) & 0xFF)
            bytes += 1
            if bytes.isMultiple(of: 8) { words.append(word) }
        }
        return words.count == 4 ? IdempotencyScope(words: (words[0], words[1], words[2], words[3])) : nil
    }

    func recordKey(_ scope: IdempotencyScope) -> ByteBuffer {
        var buffer = ByteBuffer()
        writeRecordKey(scope, to: &buffer)
        return buffer
    }
}
