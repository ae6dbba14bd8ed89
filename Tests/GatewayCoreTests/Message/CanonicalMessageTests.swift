import NIOCore
import Testing

@testable import GatewayCore

@Suite struct CanonicalMessageTests {
    private func form(_ json: String) -> ByteBuffer {
        let bytes = Array(json.utf8)
        var canonical = CanonicalMessage()
        canonical.make(of: bytes.span)
        return canonical.form
    }

    @Test(arguments: [
        "1", "\"\"", "{}", "[]", "[1,1,1,1,1,1,1,1]", "[[[[[[]]]]]]", "[{},{},{}]", "[\"\",\"\",\"\"]",
        #"{"":1,"a":2,"b":{"":{"":""}}}"#, #"["\u00e9\n\ud83d\ude00","\ud800"]"#,
    ])
    func `there is room for the form of what grows most`(json: String) {
        #expect(form(json).readableBytes <= 3 * json.utf8.count + 3)
    }

    @Test func `key and user come first, each behind its length`() {
        let content = Array("{}".utf8)
        var canonical = CanonicalMessage()
        for _ in 0..<2 {
            canonical.make(of: content.span, key: ByteBuffer(string: "k1"), user: ByteBuffer(string: "u"))
            #expect(
                Array(buffer: canonical.form)
                    == [0, 0, 0, 2] + "k1".utf8 + [0, 0, 0, 1] + "u".utf8 + [0] + [0, 0, 0, 0])
        }
    }

    /// Replicas compare fingerprints, so that no version may change a byte.
    @Test func `each kind of value has its tag, its length and its bytes`() {
        func length(_ count: UInt8) -> [UInt8] { [0, 0, 0, count] }
        var expected: [UInt8] = [0] + length(2)
        expected += length(1) + "a".utf8 + [1] + length(2)
        expected += [3] + length(2) + "12".utf8 + [2] + length(2) + "é".utf8
        expected += length(2) + "bb".utf8 + [3] + length(4) + "null".utf8
        #expect(Array(buffer: form(#"{"bb":null,"a":[12,"\u00e9"]}"#)) == expected)
    }

    @Test func `the order of members, white space and escapes change nothing, and a character does`() {
        let message = form(#"{"a":[1,"é"],"b":{"c":null}}"#)
        #expect(form(" { \"b\" : {\"c\":null}, \"\\u0061\":[ 1 , \"\\u00e9\" ] } ") == message)
        #expect(form(#"{"a":[1,"e"],"b":{"c":null}}"#) != message)
        #expect(form(#"{"a":["1","é"],"b":{"c":null}}"#) != message)
    }
}
