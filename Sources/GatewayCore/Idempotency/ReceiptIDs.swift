import Crypto
import NIOCore

/// Makes and verifies the ids by which skills report the messages that they have received: 64 characters that nobody can guess, and from
/// which the record is found without an index.
///
/// An id is 48 bytes in base64url: the record's scope (32), the skill (1), which of the scope's messages it is (4) and 11 bytes of
/// HMAC-SHA-256 over the rest. Whoever sees one can report that one message.
package struct ReceiptIDs: Sendable {
    package static let characters = 64
    private static let bodyBytes = 37
    private static let codeBytes = 11

    /// What an id stands for.
    package struct Subject: Equatable, Sendable {
        package var scope: IdempotencyScope
        /// The skill's place in the configuration.
        package var skill: Int
        var binding: Receipt.Binding

        init(scope: IdempotencyScope, skill: Int, binding: Receipt.Binding) {
            (self.scope, self.skill, self.binding) = (scope, skill, binding)
        }
    }

    /// Set in the byte of the skill for a message that is bound by time.
    private static let boundByTime: UInt8 = 0x80

    private struct Signer: Sendable {
        let skill: Int
        let tag: UInt8
        let hash: KeyedHash
    }

    /// By the skill's place; of each, one for each key, the first of which signs.
    private let signers: [[Signer]]

    /// - Parameters:
    ///   - signingSecrets: the first signs, all verify. Without any, no id is made and none is valid.
    ///   - skills: what records know them by, in the order of the configuration; nil for one that reports nothing.
    package init(signingSecrets: [String], skills: [String?]) {
        signers = skills.enumerated().map { index, id in
            guard let id else { return [] }
            let tag = SHA256.hash(data: Array("skillgate receipt of \(id)".utf8)).withUnsafeBytes { $0[0] & 0x7F }
            return signingSecrets.map { secret in
                // Its own purpose and skill are part of the key, so that a secret used elsewhere, too, makes other codes there.
                let purpose = Array("skillgate receipt 1 \(id.utf8.count) \(id) ".utf8)
                let key = SymmetricKey(data: SHA256.hash(data: purpose + Array(secret.utf8)))
                return Signer(skill: index, tag: tag, hash: KeyedHash(key: key))
            }
        }
    }

    var areUsed: Bool { signers.contains { !$0.isEmpty } }

    func makes(idsOf skill: Int) -> Bool { signers.indices.contains(skill) && !signers[skill].isEmpty }

    /// Writes the id; nothing where the skill reports nothing.
    func write(_ subject: Subject, to buffer: inout ByteBuffer) {
        guard signers.indices.contains(subject.skill), let signer = signers[subject.skill].first else { return }
        withUnsafeTemporaryAllocation(byteCount: Self.bodyBytes + Self.codeBytes, alignment: 8) { bytes in
            let words = subject.scope.words
            bytes.storeBytes(of: words.0.bigEndian, toByteOffset: 0, as: UInt64.self)
            bytes.storeBytes(of: words.1.bigEndian, toByteOffset: 8, as: UInt64.self)
            bytes.storeBytes(of: words.2.bigEndian, toByteOffset: 16, as: UInt64.self)
            bytes.storeBytes(of: words.3.bigEndian, toByteOffset: 24, as: UInt64.self)
            let (flag, bound): (UInt8, UInt32) =
                switch subject.binding {
                case .message(let fingerprint): (0, fingerprint)
                case .latestExpiry(let seconds): (Self.boundByTime, UInt32(clamping: seconds))
                }
            bytes[32] = signer.tag | flag
            bytes.storeBytes(of: bound.bigEndian, toByteOffset: 33, as: UInt32.self)
            let body = UnsafeRawBufferPointer(rebasing: bytes[..<Self.bodyBytes])
            signer.hash.authenticationCode(for: body).withUnsafeBytes {
                UnsafeMutableRawBufferPointer(rebasing: bytes[Self.bodyBytes...]).copyBytes(
                    from: $0.prefix(Self.codeBytes))
            }
            Base64.writeForURL(UnsafeRawBufferPointer(bytes), to: &buffer)
        }
    }

    /// Nil where the skill reports nothing.
    func id(of subject: Subject) -> String? {
        var buffer = ByteBuffer()
        write(subject, to: &buffer)
        return buffer.readableBytes == 0 ? nil : String(buffer: buffer)
    }

    /// Nil for an id that no key here has signed.
    func subject(of id: Span<UInt8>, _ range: Range<Int>) -> Subject? {
        guard range.count == Self.characters, let bytes = Base64.decode(id, range),
            bytes.count == Self.bodyBytes + Self.codeBytes
        else { return nil }
        let body = bytes[..<Self.bodyBytes]
        for ofSkill in signers {
            for signer in ofSkill
            where signer.tag == bytes[32] & 0x7F && signer.hash.matches(bytes[Self.bodyBytes...], for: body) {
                func word(_ place: Int) -> UInt64 { bytes[place..<place + 8].reduce(0) { $0 << 8 | UInt64($1) } }
                let bound = bytes[33..<37].reduce(0 as UInt32) { $0 << 8 | UInt32($1) }
                return Subject(
                    scope: IdempotencyScope(words: (word(0), word(8), word(16), word(24))), skill: signer.skill,
                    binding: bytes[32] & Self.boundByTime == 0 ? .message(bound) : .latestExpiry(Int(bound)))
            }
        }
        return nil
    }
}
