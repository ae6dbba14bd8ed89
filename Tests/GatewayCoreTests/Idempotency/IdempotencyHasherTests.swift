import Crypto
import NIOCore
import Testing

@testable import GatewayCore

@Suite struct IdempotencyHasherTests {
    private func fingerprint(_ content: String, user: String = "u", key: String = "k") throws -> RequestFingerprint {
        let head = ByteBuffer(string: user)
        let keyHead = ByteBuffer(string: key)
        var hasher = IdempotencyHasher(fingerprintKey: SymmetricKey(data: Array(repeating: UInt8(1), count: 32)))
        return hasher.fingerprint(
            key: try IdempotencyKey(parsing: 0..<keyHead.readableBytes, of: keyHead),
            user: try UserID(parsing: 0..<head.readableBytes, of: head), content: ByteBuffer(string: content))
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
