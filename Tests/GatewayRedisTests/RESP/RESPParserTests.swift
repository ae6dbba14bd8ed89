import NIOCore
import TestSupport
import Testing

@testable import GatewayRedis

@Suite struct RESPParserTests {
    private func parse(_ text: String) throws -> RESPValue? {
        var buffer = ByteBuffer(string: text)
        return try RESPParser.next(&buffer)
    }

    private static func string(_ text: String) -> RESPValue { .string(ByteBuffer(string: text)) }

    static let values: [(String, RESPValue)] = [
        ("+OK\r\n", string("OK")), ("-ERR no such\r\n", .error("ERR no such")), (":-42\r\n", .integer(-42)),
        ("$5\r\na\r\nbc\r\n", string("a\r\nbc")), ("$0\r\n\r\n", string("")), ("$-1\r\n", .null), ("*-1\r\n", .null),
        ("_\r\n", .null), ("#t\r\n", .boolean(true)), ("#f\r\n", .boolean(false)), (",1.5\r\n", string("1.5")),
        ("(12345678901234567890\r\n", string("12345678901234567890")), ("!5\r\nERR x\r\n", .error("ERR x")),
        ("=7\r\ntxt:abc\r\n", string("abc")), ("*0\r\n", .array([])),
        ("*2\r\n:1\r\n*1\r\n+a\r\n", .array([.integer(1), .array([string("a")])])),
        ("%1\r\n+id\r\n:7\r\n", .array([string("id"), .integer(7)])), ("~1\r\n:3\r\n", .array([.integer(3)])),
        (">2\r\n+invalidate\r\n_\r\n", .push([string("invalidate"), .null])),
        ("|1\r\n+ttl\r\n:3600\r\n:5\r\n", .integer(5)),
    ]

    @Test(arguments: values)
    func `each type of value is read, whole or byte by byte`(text: String, value: RESPValue) throws {
        #expect(try parse(text) == value)
        var buffer = ByteBuffer()
        for byte in text.utf8.dropLast() {
            buffer.writeInteger(byte)
            #expect(try RESPParser.next(&buffer) == nil)
        }
        buffer.writeInteger(UInt8(ascii: "\n"))
        buffer.writeString("+next\r\n")
        #expect(try RESPParser.next(&buffer) == value)
        #expect(try RESPParser.next(&buffer) == Self.string("next"))
        #expect(buffer.readableBytes == 0)
    }

    @Test(arguments: [
        "x\r\n", "HTTP/1.1 400 Bad Request\r\n", ":\r\n", ":1x\r\n", ":--1\r\n", "$-2\r\n", "$99999999999\r\n",
        "$3\r\nabcd\r\n", "*99999999\r\n", "+a\rb\r\n", ":99999999999999999999\r\n",
        String(repeating: "*1\r\n", count: 20) + ":1\r\n",
    ])
    func `what is not the protocol is refused`(text: String) {
        #expect(throws: RESPError.self) { try parse(text) }
    }

    @Test func `a line or a reply without end is refused, not kept`() {
        #expect(throws: RESPError.self) { try parse("+" + String(repeating: "a", count: 70_000)) }
        let endless =
            "*60000\r\n" + String(repeating: "$1000\r\n" + String(repeating: "a", count: 1000) + "\r\n", count: 8_400)
        #expect(throws: RESPError.self) { try parse(endless) }
    }

    @Test func `no bytes make it crash, hang or read behind their end`() {
        var generator = SeededGenerator(seed: 20_261_122)
        for _ in 0..<50_000 {
            var bytes = Array((Self.values.randomElement(using: &generator)?.0 ?? "").utf8)
            bytes += Array((Self.values.randomElement(using: &generator)?.0 ?? "").utf8)
            for _ in 0..<Int.random(in: 0..<6, using: &generator) {
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.insert(UInt8(ascii: "0") + UInt8.random(in: 0..<10, using: &generator), at: place)
                default: if bytes.count > 1 { bytes.remove(at: place) }
                }
            }
            var buffer = ByteBuffer(bytes: bytes)
            var left = buffer.readableBytes
            while let value = try? RESPParser.next(&buffer) {
                #expect(buffer.readableBytes < left, "\(value) took no byte of \(bytes)")
                left = buffer.readableBytes
            }
        }
    }
}
