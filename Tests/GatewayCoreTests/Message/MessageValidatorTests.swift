import NIOCore
import TestSupport
import Testing

@testable import GatewayCore

@Suite struct MessageValidatorTests {
    private func validate(_ text: String) throws(MessageError) {
        try validate(ByteBuffer(string: text))
    }

    private func validate(_ buffer: ByteBuffer) throws(MessageError) {
        try MessageValidator.validate(buffer.readableBytesUInt8Span)
    }

    @Test(arguments: [
        #"{"data":{}}"#,
        #" { "data" : { "a" : "b" , "c" : "" } , "expiresAfterSeconds" : 60 } "#,
        #"{"expiresAfterSeconds":86400,"data":{"ü":"\u00fc\ud83d\ude00\n"}}"#,
        #"{"data":{"a":1,"b":[true,null,-1.5e+3],"c":{"d":{}}},"other":[]}"#,
        #"{"d\u0061ta":{"a":"b"}}"#,
    ])
    func `messages are taken`(text: String) throws {
        try validate(text)
    }

    @Test(arguments: [
        (#"{"data":{}"#, MessageError.notJSON(offset: 10, expected: "`,` or `}`")),
        (#"{"data":{},}"#, .notJSON(offset: 11, expected: "a member's name in double quotes")),
        (#"{"data":{}} x"#, .notJSON(offset: 12, expected: "the end of the content")),
        (#"{'data':{}}"#, .notJSON(offset: 1, expected: "a member's name in double quotes")),
        ("", .notJSON(offset: 0, expected: "a JSON object")),
        ("[]", .notAnObject), ("\"x\"", .notAnObject), ("nul", .notJSON(offset: 0, expected: "`null`")),
        ("{}", .dataMissing), (#"{"data":[]}"#, .dataNotAnObject), (#"{"data":null}"#, .dataNotAnObject),
        (#"{"data":{},"data":{}}"#, .memberRepeated("data")),
        (#"{"data":{},"d\u0061ta":{}}"#, .memberRepeated("data")),
        (#"{"data":{},"expiresAfterSeconds":60,"expiresAfterSeconds":60}"#, .memberRepeated("expiresAfterSeconds")),
        (#"{"data":{},"expiresAfterSeconds":59}"#, .expiryOutOfRange("59")),
        (#"{"data":{},"expiresAfterSeconds":86401}"#, .expiryOutOfRange("86401")),
        (#"{"data":{},"expiresAfterSeconds":-60}"#, .expiryOutOfRange("-60")),
        (#"{"data":{},"expiresAfterSeconds":99999999999999999999}"#, .expiryOutOfRange("99999999999999999999")),
        (#"{"data":{},"expiresAfterSeconds":60.0}"#, .expiryNotAnInteger),
        (#"{"data":{},"expiresAfterSeconds":"60"}"#, .expiryNotAnInteger),
        (#"{"data":{},"expiresAfterSeconds":null}"#, .expiryNotAnInteger),
        (#"{"data":{"a":01}}"#, .notJSON(offset: 14, expected: "`,` or `}`")),
        (#"{"data":{"a":1.}}"#, .notJSON(offset: 15, expected: "a digit")),
        (#"{"data":{"a":+1}}"#, .notJSON(offset: 13, expected: "a value")),
        (#"{"data":{"a":"\x"}}"#, .notJSON(offset: 14, expected: "an escape sequence")),
        (#"{"data":{"a":"\u12g4"}}"#, .notJSON(offset: 14, expected: "four hexadecimal digits after `\\u`")),
        ("{\"data\":{\"a\":\"\n\"}}", .notJSON(offset: 14, expected: "a control character to be escaped")),
    ])
    func `anything else is refused by the rule it breaks`(text: String, error: MessageError) {
        #expect(throws: error) { try validate(text) }
    }

    @Test(
        arguments: [[0x80], [0xC0, 0x80], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xC3]]
            as [[UInt8]])
    func `strings are UTF-8`(bytes: [UInt8]) {
        let buffer = ByteBuffer(bytes: Array(#"{"data":{"a":""#.utf8) + bytes + Array(#""}}"#.utf8))
        #expect(throws: MessageError.notJSON(offset: 14, expected: "UTF-8")) { try validate(buffer) }
    }

    @Test func `data is counted as compact JSON, to the byte`() throws {
        func message(_ count: Int, _ around: String = "") -> String {
            // {"a":"…"} takes 8 bytes besides the value.
            "{\"data\":{\(around)\"a\"\(around):\(around)\"" + String(repeating: "x", count: count - 8)
                + "\"\(around)}}"
        }
        try validate(message(6144))
        try validate(message(6144, "   \n"))
        #expect(throws: MessageError.dataTooLarge(bytes: 6145)) { try validate(message(6145)) }
    }

    @Test func `an escaped character counts as what it stands for`() throws {
        let escaped = String(repeating: #"\u00e9"#, count: 3068)
        try validate(#"{"data":{"a":"\#(escaped)"}}"#)
        #expect(throws: MessageError.dataTooLarge(bytes: 6146)) {
            try validate(#"{"data":{"a":"\#(escaped)\u00e9"}}"#)
        }
    }

    @Test func `nesting has an end`() {
        let deep = String(repeating: "[", count: 100) + String(repeating: "]", count: 100)
        #expect(throws: MessageError.nestedTooDeeply) { try validate(#"{"data":{"a":\#(deep)}}"#) }
    }

    @Test func `no random change of a message makes the validator or the canonical form trap`() {
        var generator = SeededGenerator(seed: 11)
        let original = Array(#"{"data":{"a":"b\u00e9\"","c":[1,{"d":null}]},"expiresAfterSeconds":60}"#.utf8)
        var accepted = 0
        for _ in 0..<20_000 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] =
                    original.randomElement(using: &generator) ?? 0
            }
            if Int.random(in: 0..<4, using: &generator) == 0 {
                bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator))
            }
            guard (try? validate(ByteBuffer(bytes: bytes))) != nil else { continue }
            accepted += 1
            var canonical = CanonicalMessage()
            canonical.make(of: bytes.span)
            #expect((1...3 * bytes.count).contains(canonical.form.readableBytes))
        }
        #expect(accepted > 0)
    }
}
