import NIOCore
import TestSupport
import Testing

@testable import GatewayCore

@Suite struct RequestDecoderTests {
    private static let simple = "POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"

    private func read(_ text: String, limits: RequestDecoder.Limits = .init()) -> [String] {
        var decoder = RequestDecoder(limits: limits)
        decoder.receive(ByteBuffer(string: text))
        return drain(&decoder)
    }

    /// The events of bytes that arrive in two parts.
    private func read(_ bytes: [UInt8], cutAt cut: Int) -> [String] {
        var decoder = RequestDecoder()
        decoder.receive(ByteBuffer(bytes: bytes[..<cut]))
        let events = drain(&decoder)
        decoder.receive(ByteBuffer(bytes: bytes[cut...]))
        return events + drain(&decoder)
    }

    private func drain(_ decoder: inout RequestDecoder) -> [String] {
        var events: [String] = []
        while true {
            switch decoder.next() {
            case .needsMoreBytes: return events
            case .continueExpected: events.append("continue")
            case .refused(let error): return events + [Refusal(error).problem.rawValue]
            case .request(let request):
                let headBytes = request.headBytes
                let path = headBytes.readableBytesUInt8Span.text(request.head.path)
                events.append("\(request.head.method) \(path) \(String(buffer: request.content))")
            }
        }
    }

    @Test func `a request is the same wherever the network cuts it`() {
        let bytes = Array(Self.simple.utf8)
        for cut in 0...bytes.count {
            #expect(read(bytes, cutAt: cut) == ["post /a abc"], "cut at \(cut)")
        }
    }

    @Test func `pipelined requests come out one by one and in order`() {
        #expect(
            read(Self.simple + Self.simple + "GET /c HTTP/1.1\r\nHost: x\r\n\r\n") == [
                "post /a abc", "post /a abc", "get /c ",
            ])
    }

    @Test func `chunked content loses its coding, extensions and trailers`() {
        let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        let text = head + "3;a=b\r\nabc\r\n0A\r\n0123456789\r\n0\r\nT: u\r\n\r\n"
        #expect(read(text + Self.simple) == ["post / abc0123456789", "post /a abc"])
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count {
            #expect(read(bytes, cutAt: cut) == ["post / abc0123456789"], "cut at \(cut)")
        }
    }

    @Test func `a caller that waits for a go-ahead gets one, and none when the content is there`() {
        let head = "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
        var decoder = RequestDecoder()
        decoder.receive(ByteBuffer(string: head))
        #expect(drain(&decoder) == ["continue"])
        decoder.receive(ByteBuffer(string: "z"))
        #expect(drain(&decoder) == ["post /a z"])
        #expect(read(head + "z") == ["post /a z"])
    }

    @Test(arguments: [
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\nHost: x\n\n",
        "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: b\u{0}c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        "GET /\u{7f} HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nExpect: something\r\n\r\n",
        "GET https://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http:/// HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://a@b/ HTTP/1.1\r\nHost: x\r\n\r\n",
    ])
    func `anything ambiguous in the framing is refused`(text: String) {
        #expect(read(text) == ["request-malformed"])
    }

    @Test(arguments: [
        "5\nabcde\r\n", "g\r\n", "+3\r\nabc\r\n", "3\r\nabcd\r\n", "123456789\r\n", "3 x\r\nabc\r\n", "\r\n",
        "3 \r\nabc\r\n", "3;\r\nabc\r\n", "3;a=\r\nabc\r\n", "3;a=\"b\r\nabc\r\n", "3;a=b c\r\nabc\r\n",
        "3;a=\"\u{1}\"\r\nabc\r\n", "3;=b\r\nabc\r\n", "3;a;\r\nabc\r\n",
    ])
    func `a chunk that is not to the letter is refused`(chunk: String) {
        let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        #expect(read(head + chunk) == ["request-malformed"])
    }

    @Test(arguments: [
        "a b", "a@b", "a/b", "<script>", "a:80:80", "a:x", ":80", "", "[::1", "[]", "[x]", "a\\b", "a%2", "a%zz",
        "\"a\"",
        "a?b", "a#b", "a,b c", "[::1]x", "a:123456",
    ])
    func `what is no host, with or without a port, is refused`(host: String) {
        #expect(read("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n") == ["request-malformed"])
        guard !host.contains("/") && !host.contains("?") && !host.contains(" ") else { return }
        #expect(read("GET http://\(host)/ HTTP/1.1\r\nHost: x\r\n\r\n") == ["request-malformed"])
    }

    @Test func `bytes beyond ASCII are no host`() {
        let bytes = Array("GET / HTTP/1.1\r\nHost: a".utf8) + [0xFF] + Array("\r\n\r\n".utf8)
        #expect(read(bytes, cutAt: bytes.count) == ["request-malformed"])
    }

    @Test(arguments: ["a", "a.example.org:8080", "127.0.0.1", "[::1]:8080", "a:", "a%41", "a_b~c", "a!$&'()*+,;=b"])
    func `a host is taken as the grammar has it`(host: String) {
        #expect(read("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n") == ["get / "])
        #expect(read("GET http://\(host) HTTP/1.1\r\nHost: x\r\n\r\n") == ["get  "])
    }

    @Test(arguments: ["3 ;a\r\n", "3;a=b;c\r\n", "3;a=\"b \\\" c\"\r\n", "3 ; a = b\r\n"])
    func `chunk extensions of every form are passed over`(line: String) {
        let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        #expect(read(head + line + "abc\r\n0\r\n\r\n") == ["post / abc"])
    }

    @Test func `HTTP 1.0 is told no go-ahead`() {
        #expect(read("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n") == [])
    }

    @Test func `what is read does not depend on how the bytes were cut`() {
        let chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        let long = String(repeating: "b", count: 300)
        let cases = [
            "\r\n" + Self.simple, "\r\n\r\n" + Self.simple + "\r\n" + Self.simple + "\r\n",
            Self.simple + "\r\n\r\n" + Self.simple, "\rGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            chunked + "3;a=b\r\nabc\r\n0A\r\n0123456789\r\n0\r\nT: u\r\n\r\n\r\n" + Self.simple,
            chunked + "3 \r\n", chunked + "3\r\nabcd\r\n", chunked + "0\r\nT : u\r\n\r\n", chunked + "FFFFFF\r\n",
            "GET / HTTP/1.1\nHost: x\n\n", "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nA: \(long)\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nA: \(long)\r\n\r\n",
            "GET / HTTP/1.1\r\nA: \n\(long)\r\nHost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
        ]
        var limits = RequestDecoder.Limits()
        limits.headBytes = 200
        for text in cases {
            let whole = read(text, limits: limits)
            let bytes = Array(text.utf8)
            for first in 0...bytes.count {
                for second in stride(from: first, through: bytes.count, by: 7) {
                    var decoder = RequestDecoder(limits: limits)
                    var events: [String] = []
                    for part in [bytes[..<first], bytes[first..<second], bytes[second...]] {
                        decoder.receive(ByteBuffer(bytes: part))
                        events += drain(&decoder)
                    }
                    #expect(events == whole, "\(text.debugDescription) cut at \(first) and \(second)")
                }
            }
        }
    }

    @Test func `limits hold for heads, fields and contents`() {
        var limits = RequestDecoder.Limits()
        limits.headBytes = 200
        limits.fields = 3
        limits.contentBytes = 10
        let host = "POST / HTTP/1.1\r\nHost: x\r\n"
        #expect(read(host + "A: " + String(repeating: "b", count: 200), limits: limits) == ["content-too-large"])
        #expect(read(host + "A: 1\r\nB: 2\r\n\r\n", limits: limits) == ["post / "])
        #expect(read(host + "A: 1\r\nB: 2\r\nC: 3\r\n\r\n", limits: limits) == ["request-malformed"])
        #expect(read(host + "Content-Length: 10\r\n\r\n0123456789", limits: limits) == ["post / 0123456789"])
        #expect(read(host + "Content-Length: 11\r\n\r\n", limits: limits) == ["content-too-large"])
        let chunked = host + "Transfer-Encoding: chunked\r\n\r\n"
        #expect(read(chunked + "6\r\n012345\r\n5\r\n01234\r\n", limits: limits) == ["content-too-large"])
    }

    @Test func `a target in absolute form is read by its path`() {
        #expect(read("GET http://host:1/a/b HTTP/1.1\r\nHost: x\r\n\r\n") == ["get /a/b "])
    }

    @Test func `no random change of a request makes the decoder trap or loop`() {
        var generator = SeededGenerator(seed: 7)
        let original = Array(
            "POST /v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nIdempotency-Key: \"k\"\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                .utf8)
        for _ in 0..<20_000 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: index)
                default: bytes.insert(bytes[index], at: index)
                }
            }
            let cut = Int.random(in: 0...bytes.count, using: &generator)
            #expect(read(bytes, cutAt: cut).count <= 4)
        }
    }
}
