import Crypto

/// The access tokens that the gateway issues to callers: signed, short-lived, and valid on every replica that has the
/// signing key, which keeps nothing of them.
///
/// A token is `sgt_` and 36 bytes in base64url: version (1), signing key (4), expiry in Unix seconds (5), client (10),
/// and 16 bytes of HMAC-SHA-256 over the rest. Not a JWT: nobody but the gateway reads it, and there is no header in it
/// that could say how it wants to be verified.
package struct CallerTokens: Sendable {
    /// What a token stands for: a client and the secret it was bought with, by the first 80 bits of SHA-256 over both. A
    /// secret that is no longer configured ends its tokens.
    package struct Client: Hashable, Sendable {
        private let words: (UInt64, UInt16)

        package init(clientID: String, secret: APIKeyDigest) {
            let digest = Array(SHA256.hash(data: Array("\(secret.hexadecimal) \(clientID)".utf8)))
            self.init(digest[0..<10])
        }

        fileprivate init(_ bytes: ArraySlice<UInt8>) {
            var first: UInt64 = 0
            for byte in bytes.prefix(8) { first = first << 8 | UInt64(byte) }
            var last: UInt16 = 0
            for byte in bytes.dropFirst(8) { last = last << 8 | UInt16(byte) }
            words = (first, last)
        }

        fileprivate var bytes: [UInt8] {
            withUnsafeBytes(of: words.0.bigEndian) { Array($0) } + withUnsafeBytes(of: words.1.bigEndian) { Array($0) }
        }

        package static func == (one: Client, other: Client) -> Bool {
            one.words.0 == other.words.0 && one.words.1 == other.words.1
        }

        package func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
    }

    private struct SigningKey: Sendable {
        let id: [UInt8]
        let hash: KeyedHash

        init(_ secret: String) {
            // Its own purpose is part of the key, so that a secret used elsewhere, too, makes other codes there.
            let key = SHA256.hash(data: Array("skillgate access token 1 ".utf8) + Array(secret.utf8))
            id = Array(SHA256.hash(data: Array(key)).prefix(4))
            hash = KeyedHash(key: SymmetricKey(data: key))
        }
    }

    private static let prefix: StaticString = "sgt_"
    private static let version: UInt8 = 1
    private static let textBytes = 52
    private static let bodyBytes = 20
    private static let codeBytes = 16

    private let keys: [SigningKey]
    package let lifetimeSeconds: Int

    /// - Parameters:
    ///   - signingSecrets: the first signs, all verify. Without any, no token is issued and none is valid.
    ///   - lifetimeSeconds: of the tokens issued.
    package init(signingSecrets: [String], lifetimeSeconds: Int) {
        keys = signingSecrets.map { SigningKey($0) }
        self.lifetimeSeconds = lifetimeSeconds
    }

    var areIssued: Bool { !keys.isEmpty }

    /// Whether this is meant to be a token, and no API key.
    package static func isToken(_ text: String) -> Bool { text.hasPrefix("\(prefix)") }

    static func isToken(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        let start = range.lowerBound
        return range.count >= 4 && bytes.isEqual(start..<start + 4, to: prefix)
    }

    /// Nil if no signing key is there.
    ///
    /// - Parameter now: Unix time in seconds.
    func issue(to client: Client, now: Int) -> String? {
        guard let key = keys.first else { return nil }
        var body = [Self.version] + key.id
        let expiry = UInt64(clamping: now) &+ UInt64(clamping: lifetimeSeconds)
        for shift in stride(from: UInt64(32), through: 0, by: -8) {
            body.append(UInt8(truncatingIfNeeded: expiry >> shift))
        }
        body += client.bytes
        return "\(Self.prefix)" + Base64.encodeForURL(body + key.hash.shortCode(for: body[...], bytes: Self.codeBytes))
    }

    /// Whom a token was issued to; nil if no key here signed it or its time is over.
    func client(of bytes: Span<UInt8>, _ range: Range<Int>, now: Int) -> Client? {
        guard range.count == Self.textBytes, Self.isToken(bytes, range),
            let token = Base64.decode(bytes, range.lowerBound + 4..<range.upperBound),
            // Padding would stand for bytes of the code.
            token.count == Self.bodyBytes + Self.codeBytes, token[0] == Self.version,
            let key = keys.first(where: { token[1..<5].elementsEqual($0.id) })
        else { return nil }
        let body = token[..<Self.bodyBytes]
        var expiry: UInt64 = 0
        for byte in token[5..<10] { expiry = expiry << 8 | UInt64(byte) }
        guard key.hash.matches(token[Self.bodyBytes...], for: body), UInt64(clamping: now) < expiry else { return nil }
        return Client(token[10..<Self.bodyBytes])
    }
}
