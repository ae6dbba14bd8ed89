import NIOCore
import Testing

@testable import GatewayCore

@Suite struct IdempotencyKeyTests {
    private func parse(_ text: String) throws(IdempotencyKeyError) -> String {
        let head = ByteBuffer(string: text)
        return String(buffer: try IdempotencyKey(parsing: 0..<head.readableBytes, of: head).characters)
    }

    @Test(arguments: [
        ("k", "k"), (#""k""#, "k"), (#""a b""#, "a b"), (#""a\"b\\c""#, #"a"b\c"#), ("8e03978e-40d5", "8e03978e-40d5"),
        (#"a"b"#, #"a"b"#),
    ])
    func `quoted or not, the key is its characters`(text: String, key: String) throws {
        #expect(try parse(text) == key)
    }

    @Test(arguments: [
        "", #""""#, #"""#, #""a"#, "a b", "a\u{e9}", #""a\b""#, #""a"b""#, #""a";p=1"#, #""a\"#, "a,\tb",
    ])
    func `anything else is refused`(text: String) {
        #expect { try parse(text) } throws: { $0 is IdempotencyKeyError }
    }

    @Test func `a key has 1 to 255 characters`() throws {
        #expect(try parse(String(repeating: "k", count: 255)).count == 255)
        #expect(throws: IdempotencyKeyError.self) { try parse(String(repeating: "k", count: 256)) }
        #expect(try parse("\"" + String(repeating: "k", count: 255) + "\"").count == 255)
    }
}
