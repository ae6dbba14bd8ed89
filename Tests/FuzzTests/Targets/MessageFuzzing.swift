import Crypto
import GatewayCore
import NIOCore

@testable import TokenEndpointClient

/// Keys, messages and tokens.
enum MessageFuzzing {
    static func key(_ bytes: [UInt8]) {
        let buffer = ByteBuffer(bytes: bytes)
        guard let key = try? IdempotencyKey(parsing: 0..<bytes.count, of: buffer) else { return }
        promise((1...IdempotencyKey.limitCharacters).contains(key.characters.readableBytes), "a key of another length")
        promise(key.characters.readableBytesView.allSatisfy { (0x20...0x7E).contains($0) }, "a key beyond ASCII")
        // Quoted, it is the same key.
        var quoted = "\""
        for byte in key.characters.readableBytesView {
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { quoted += "\\" }
            quoted.unicodeScalars.append(Unicode.Scalar(byte))
        }
        quoted += "\""
        let again = try? IdempotencyKey(parsing: 0..<quoted.utf8.count, of: ByteBuffer(string: quoted))
        promise(again == key, "a key that is another one when it is quoted")
    }

    static func message(_ bytes: [UInt8]) {
        let content = ByteBuffer(bytes: bytes)
        // Also of what is no message: where users live is stated in contents of another form.
        if let value = try? JSONMembers.value(at: ["data", "a"], in: content.readableBytesUInt8Span) {
            promise(!value.isEmpty && value.upperBound <= bytes.count, "a value beyond its content")
        }
        do {
            try MessageValidator.validate(content.readableBytesUInt8Span)
        } catch {
            promise(!error.detail.isEmpty, "an error that says nothing")
            return
        }
        // White space around it changes nothing.
        let spaced = ByteBuffer(bytes: Array(" \n".utf8) + bytes + Array("\t ".utf8))
        promise(fingerprint(content) == fingerprint(spaced), "a fingerprint that depends on white space")
    }

    private static func fingerprint(_ content: ByteBuffer) -> RequestFingerprint? {
        let text = ByteBuffer(string: "k")
        guard let key = try? IdempotencyKey(parsing: 0..<1, of: text), let user = try? UserID(parsing: 0..<1, of: text)
        else { return nil }
        var hasher = IdempotencyHasher(FingerprintKeys(SymmetricKey(data: Array(repeating: UInt8(7), count: 32))))
        return hasher.fingerprints(key: key, user: user, content: content).0
    }

    static func token(_ bytes: [UInt8]) {
        let response = HTTPTransfer.Response(status: 200, fields: [], content: bytes)
        guard let grant = try? LoginWithAmazon.grant(from: .success(response)) else { return }
        promise(grant.token.utf8.allSatisfy { (0x21...0x7E).contains($0) }, "a token that can become a field")
        var machine = TokenStateMachine(hasNextSecret: false, now: .uptimeNanoseconds(1_000_000_000))
        _ = machine.timeTriggered(now: .uptimeNanoseconds(1_000_000_000))
        let now = NIODeadline.uptimeNanoseconds(2_000_000_000)
        if case .deliver(let token) = machine.fetchSucceeded(grant, random: 0.5, now: now) {
            promise(token.expires > now, "a token that has expired")
        }
    }
}
