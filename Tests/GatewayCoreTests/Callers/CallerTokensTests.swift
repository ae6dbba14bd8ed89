import NIOCore
import Testing

@testable import GatewayCore

@Suite struct CallerTokensTests {
    private static let one = String(repeating: "1", count: 32)
    private static let two = String(repeating: "2", count: 32)
    private let now = 1_795_497_192
    private let client = CallerTokens.Client(clientID: "orders", secret: APIKeyDigest(of: "secret"))

    private func tokens(_ secrets: [String] = [one]) -> CallerTokens {
        CallerTokens(signingSecrets: secrets, lifetimeSeconds: 3600)
    }

    private func client(_ text: String, of tokens: CallerTokens, at time: Int) -> CallerTokens.Client? {
        let bytes = ByteBuffer(string: text)
        return tokens.client(of: bytes.readableBytesUInt8Span, 0..<bytes.readableBytes, now: time)
    }

    @Test func `a token stands for its client until its time is over, on every replica`() throws {
        let text = try #require(tokens().issue(to: client, now: now))
        #expect(text.hasPrefix("sgt_") && text.utf8.count == 52)
        let replica = tokens()
        #expect(client(text, of: replica, at: now) == client)
        #expect(client(text, of: replica, at: now + 3599) == client)
        #expect(client(text, of: replica, at: now + 3600) == nil)
        #expect(client != CallerTokens.Client(clientID: "other", secret: APIKeyDigest(of: "secret")))
        #expect(client != CallerTokens.Client(clientID: "orders", secret: APIKeyDigest(of: "other")))
    }

    @Test func `keys change hands: the first signs, all verify, and what is gone verifies no more`() throws {
        let old = try #require(tokens([Self.one]).issue(to: client, now: now))
        let both = tokens([Self.two, Self.one])
        let new = try #require(both.issue(to: client, now: now))
        #expect(old != new)
        #expect(client(old, of: both, at: now) == client)
        #expect(client(new, of: both, at: now) == client)
        #expect(client(old, of: tokens([Self.two]), at: now) == nil)
        #expect(client(new, of: tokens([Self.one]), at: now) == nil)
    }

    @Test func `a token with any byte changed stands for nobody`() throws {
        let text = try #require(tokens().issue(to: client, now: now))
        for place in 4..<text.utf8.count {
            for replacement in ["A", "B", "-", "=", " "] {
                var bytes = Array(text.utf8)
                guard bytes[place] != replacement.utf8.first else { continue }
                bytes.replaceSubrange(place...place, with: replacement.utf8)
                #expect(client(String(decoding: bytes, as: UTF8.self), of: tokens(), at: now) == nil, "byte \(place)")
            }
        }
        let padded = ["=", "=="].map { String(text.dropLast($0.count)) + $0 }
        for other in ["", "sgt_", "sgt_x", String(text.dropLast()), text + "A"] + padded {
            #expect(client(other, of: tokens(), at: now) == nil)
        }
    }

    @Test func `without a key there is no token`() {
        #expect(tokens([]).issue(to: client, now: now) == nil)
        #expect(!tokens([]).areIssued)
    }

    @Test(arguments: ["", "f", "fo", "foo", "foob", "fooba", "foobar", "\u{0}\u{ff}~~~???>>>"])
    func `base64 comes back as it went`(text: String) {
        let bytes = Array(text.utf8)
        let encoded = Array(Base64.encodeForURL(bytes).utf8)
        #expect(Base64.decode(encoded.span, 0..<encoded.count) == bytes)
    }

    @Test(
        arguments: [
            ("Zm9v", "foo"), ("Zm8=", "fo"), ("Zg==", "f"), ("Zg", "f"), ("Zg=", nil), ("Z", nil), ("Zh==", nil),
            ("Zm9v!", nil), ("Zm=v", nil), ("Zm9v====", nil), ("", ""),
        ] as [(String, String?)])
    func `base64 is read strictly`(encoded: String, text: String?) {
        let bytes = Array(encoded.utf8)
        #expect(Base64.decode(bytes.span, 0..<bytes.count) == text.map { Array($0.utf8) })
    }
}
