import Foundation
import JWTKit
import TestSupport
import Testing

@testable import WebTokens

@Suite struct KeySetTests {
    private let issuer = TestIssuer()

    private func set(_ keys: [Any], _ algorithms: [SigningAlgorithm] = [.es256]) async throws -> KeySet {
        let text = try JSONSerialization.data(withJSONObject: ["keys": keys])
        return try await KeySet(Array(text), algorithms: algorithms)
    }

    @Test func `a key of no use does not spoil the others`() async throws {
        let others: [Any] = [
            issuer.webKey(["kid": "x", "kty": "unheard-of"]), issuer.webKey(["kid": "off", "x": "AAAA"]), 7, ["kty": 7],
            issuer.webKey(["kid": "schlüssel"]), issuer.webKey(["kid": ""]),
        ]
        let keys = try await set(others + [issuer.webKey()])
        #expect(keys.count == 1 && keys.key(.init(keyID: "key-1", algorithm: "ES256")) != nil)
        #expect(keys.key(.init(keyID: "off", algorithm: "ES256")) == nil)
    }

    @Test(arguments: [
        ["use": "enc"], ["alg": "ES384"], ["crv": "P-384"], ["kty": "RSA"], ["kid": ""], ["y": ""],
    ])
    func `a key for something else is not used`(members: [String: String]) async throws {
        await #expect(throws: KeySet.ReadingError.self) { try await set([issuer.webKey(members)]) }
    }

    @Test func `a key that is for something else by its operations is not used`() async throws {
        var key: [String: Any] = issuer.webKey()
        key["key_ops"] = ["encrypt"]
        await #expect(throws: KeySet.ReadingError.self) { try await set([key]) }
        key["key_ops"] = ["verify"]
        #expect(try await set([key]).count == 1)
    }

    @Test func `an algorithm that is not configured is not used`() async throws {
        await #expect(throws: KeySet.ReadingError.self) { try await set([issuer.webKey()], [.rs256, .es384]) }
        let keys = try await set([issuer.webKey(["alg": ""])], [.es256, .rs256])
        #expect(keys.key(.init(keyID: "key-1", algorithm: "ES256")) != nil)
        for algorithm in ["RS256", "HS256", "none", "es256", ""] {
            #expect(keys.key(.init(keyID: "key-1", algorithm: algorithm)) == nil, "\(algorithm)")
        }
    }

    @Test func `an RSA key that is short or very long is not used`() async throws {
        func key(_ bytes: Int) -> [String: String] {
            let modulus = [0xC1] + [UInt8](repeating: 0x5B, count: bytes - 1)
            return ["kty": "RSA", "kid": "1", "e": "AQAB", "n": TestIssuer.encoded(modulus)]
        }
        #expect(try await set([key(256)], [.rs256]).count == 1)
        for bytes in [128, 255, 1025] {
            await #expect(throws: KeySet.ReadingError.self) { try await set([key(bytes)], [.rs256]) }
        }
    }

    @Test func `a private key that was published is only verified with`() async throws {
        let keys = try await set([issuer.webKey(["d": TestIssuer.encoded([UInt8](repeating: 7, count: 32))])])
        let key = try #require(keys.key(.init(keyID: "key-1", algorithm: "ES256")))
        #expect(throws: (any Error).self) { try key.sign(Data("text".utf8)) }
        let signature = try #require(WebSignature(Array(try issuer.token().utf8)))
        #expect(signature.isMade(with: key) == true)
    }

    @Test(arguments: [
        ("", "not a JSON Web Key Set"), ("{}", "not a JSON Web Key Set"), ("[]", "not a JSON Web Key Set"),
        (#"{"keys":{}}"#, "not a JSON Web Key Set"), (#"{"keys":[]}"#, "has no key that can be used"),
        (#"{"keys":["# + String(repeating: "{},", count: 100) + "{}]}", "has 101 keys"),
        (String(repeating: " ", count: KeySet.limitBytes + 1), "larger than"),
        (String(repeating: "[", count: 100_000), "not a JSON Web Key Set"),
    ])
    func `what is no set is told`(text: String, mistake: String) async throws {
        #expect(KeySet.mistake(in: Array(text.utf8), algorithms: [.es256])?.contains(mistake) == true)
        await #expect(throws: KeySet.ReadingError.self) { try await KeySet(Array(text.utf8), algorithms: [.es256]) }
    }

    @Test func `a set includes another if no key has gone or changed`() async throws {
        let other = TestIssuer(keyID: "key-2")
        let (one, both) = (try await set([issuer.webKey()]), try await set([issuer.webKey(), other.webKey()]))
        #expect(both.includes(one) && !one.includes(both) && both.includes(KeySet()))
        let changed = try await set([TestIssuer(keyID: "key-1").webKey()])
        #expect(!changed.includes(one))
    }
}
