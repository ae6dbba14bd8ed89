import NIOCore
import TestSupport
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

    /// JSON text of a random value, twice: as the form has it, and in any other order, with white space and escapes.
    private func text(
        depth: Int, _ random: inout SeededGenerator
    ) -> (sorted: String, shuffled: String) {
        func string(_ text: String) -> (String, String) {
            let escaped = text.unicodeScalars.map { scalar in
                Bool.random(using: &random) && scalar.value < 0x10000
                    ? "\\u" + String(scalar.value + 0x10000, radix: 16).dropFirst() : String(scalar)
            }
            return ("\"\(text)\"", "\"\(escaped.joined())\"")
        }
        let space = ["", " ", "\n", "\t "][Int.random(in: 0...3, using: &random)]
        switch Int.random(in: 0...(depth < 4 ? 5 : 2), using: &random) {
        case 0: return ("12", "12\(space)")
        case 1: return string(["", "a", "é", "日本", "ab cd, {}[]:"][Int.random(in: 0...4, using: &random)])
        case 2: return ("null", "\(space)null")
        case 3:
            let items = (0..<Int.random(in: 0...3, using: &random)).map { _ in text(depth: depth + 1, &random) }
            return (
                "[\(items.map(\.sorted).joined(separator: ","))]",
                "[\(space)\(items.map(\.shuffled).joined(separator: ",\(space)"))]"
            )
        default:
            // By their bytes: each but the last begins another.
            let names = ["", "a", "a0", "aa", "b", "é", "日"].filter { _ in Bool.random(using: &random) }
            let members = names.map { name in
                let (value, name) = (text(depth: depth + 1, &random), string(name))
                return ("\(name.0):\(value.sorted)", "\(name.1)\(space):\(value.shuffled)")
            }
            return (
                "{\(members.map(\.0).joined(separator: ","))}",
                "{\(members.shuffled(using: &random).map(\.1).joined(separator: ",\(space)"))\(space)}"
            )
        }
    }

    @Test func `what is written in the order of the form has the form of what is not`() throws {
        var random = SeededGenerator(seed: 11)
        var canonical = CanonicalMessage()
        for _ in 0..<3_000 {
            let (sorted, shuffled) = text(depth: 0, &random)
            let content = Array(shuffled.utf8)
            canonical.make(of: content.span)
            #expect(form(sorted) == canonical.form, "\(sorted) and \(shuffled)")
        }
    }

    @Test func `members of one name keep their order`() {
        #expect(form(#"{"a":1,"a":2}"#) != form(#"{"a":2,"a":1}"#))
        #expect(form(#"{"b":0,"a":1,"a":2}"#) == form(#"{"a":1,"a":2,"b":0}"#))
        #expect(form(#"{"b":0,"a":2,"a":1}"#) == form(#"{"a":2,"a":1,"b":0}"#))
    }

    @Test func `the order of members, white space and escapes change nothing, and a character does`() {
        let message = form(#"{"a":[1,"é"],"b":{"c":null}}"#)
        #expect(form(" { \"b\" : {\"c\":null}, \"\\u0061\":[ 1 , \"\\u00e9\" ] } ") == message)
        #expect(form(#"{"a":[1,"e"],"b":{"c":null}}"#) != message)
        #expect(form(#"{"a":["1","é"],"b":{"c":null}}"#) != message)
    }
}
