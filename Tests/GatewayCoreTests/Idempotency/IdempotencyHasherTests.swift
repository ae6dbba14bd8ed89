import Crypto
import NIOCore
import Testing

@testable import GatewayCore

@Suite struct IdempotencyHasherTests {
    private static func key(_ number: UInt8) -> SymmetricKey {
        SymmetricKey(data: Array(repeating: number, count: 32))
    }

    private func claim(
        _ content: String, user: String = "u", key: String = "k", keys: FingerprintKeys = FingerprintKeys(Self.key(1))
    ) throws -> IdempotencyClaim {
        let head = ByteBuffer(string: user)
        let keyHead = ByteBuffer(string: key)
        var hasher = IdempotencyHasher(keys)
        let (fingerprint, others) = hasher.fingerprints(
            key: try IdempotencyKey(parsing: 0..<keyHead.readableBytes, of: keyHead),
            user: try UserID(parsing: 0..<head.readableBytes, of: head), content: ByteBuffer(string: content))
        return IdempotencyClaim(
            scope: .init(words: (1, 2, 3, 4)), fingerprint: fingerprint, owner: .init(origin: 1, number: 1),
            lease: .seconds(1), retention: .seconds(9), consent: false, otherFingerprints: others)
    }

    private func fingerprint(_ content: String, user: String = "u", key: String = "k") throws -> RequestFingerprint {
        try claim(content, user: user, key: key).fingerprint
    }

    @Test func `a record of a key that was replaced is recognised, and one of an unknown key is not judged`() throws {
        let (message, other) = (#"{"data":{"a":"b"}}"#, #"{"data":{"a":"c"}}"#)
        let old = try claim(message).fingerprint
        let replaced = FingerprintKeys(Self.key(2), others: [Self.key(1)])
        #expect(try claim(message, keys: replaced).difference(from: old) == nil)
        #expect(try claim(other, keys: replaced).difference(from: old) == .mismatched)
        for content in [message, other] {
            #expect(try claim(content, keys: FingerprintKeys(Self.key(3))).difference(from: old) == .indistinct)
        }
        #expect(try claim(other).difference(from: old) == .mismatched)
    }

    @Test(arguments: [
        (#"{"data":{"a":"b","c":"d"}}"#, #" { "data" : { "c" : "d", "a" : "b" } } "#),
        (#"{"data":{"é":"\n"},"expiresAfterSeconds":60}"#, #"{"expiresAfterSeconds":60,"data":{"\u00e9":"\u000a"}}"#),
        (#"{"data":{"a":{"x":[1,2],"y":null}}}"#, #"{"data":{"a":{"y":null, "x":[ 1 , 2 ]}}}"#),
        (#"{"data":{"a":"😀"}}"#, #"{"data":{"a":"\ud83d\ude00"}}"#),
    ])
    func `the same message written in another way has the same fingerprint`(one: String, other: String) throws {
        #expect(try fingerprint(one) == fingerprint(other))
    }

    @Test(arguments: [
        (#"{"data":{"a":"b"}}"#, #"{"data":{"a":"c"}}"#),
        (#"{"data":{"a":"b"}}"#, #"{"data":{"a":"b"},"expiresAfterSeconds":3600}"#),
        (#"{"data":{"a":"1"}}"#, #"{"data":{"a":1}}"#),
        (#"{"data":{"ab":"c"}}"#, #"{"data":{"a":"bc"}}"#),
        (#"{"data":{"a":[1,2]}}"#, #"{"data":{"a":[2,1]}}"#),
        (#"{"data":{"a":[]}}"#, #"{"data":{"a":{}}}"#),
        (#"{"data":{"a":"x","a":"y"}}"#, #"{"data":{"a":"y","a":"x"}}"#),
    ])
    func `another message has another one`(one: String, other: String) throws {
        #expect(try fingerprint(one) != fingerprint(other))
    }

    @Test func `under another key, the same message has another one`() throws {
        #expect(try fingerprint(#"{"data":{}}"#, key: "a") != fingerprint(#"{"data":{}}"#, key: "b"))
    }

    @Test func `another user has another one, however the userId is encoded`() throws {
        let content = #"{"data":{}}"#
        #expect(try fingerprint(content, user: "a.b") != fingerprint(content, user: "a.c"))
        #expect(try fingerprint(content, user: "a%2Eb") == fingerprint(content, user: "a.b"))
    }
}
