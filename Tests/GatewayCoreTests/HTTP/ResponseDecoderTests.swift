import NIOCore
import Testing

@testable import GatewayCore

@Suite struct ResponseDecoderTests {
    private static let uuid = "0d29c856-00aa-11ef-9262-0242ac120002"

    private func read(_ text: String) throws -> ResponseDecoder.Event {
        var decoder = ResponseDecoder()
        return try decoder.receive(ByteBuffer(string: text))
    }

    @Test(arguments: [
        "HTTP/1.1 202 Accepted\r\nX-Amzn-RequestId: \(uuid)\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 202\r\nx-amzn-requestid: \(uuid)\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nx-amzn-RequestID: \(uuid)\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ])
    func `an answer is the same wherever the network cuts it, and never early`(text: String) throws {
        let bytes = Array(text.utf8)
        let answer = UpstreamResponse(status: 202, requestID: .uuid(0x0d29_c856_00aa_11ef, 0x9262_0242_ac12_0002))
        for cut in 0..<bytes.count {
            var decoder = ResponseDecoder()
            #expect(try decoder.receive(ByteBuffer(bytes: bytes[..<cut])) == .needsMoreBytes, "cut at \(cut)")
            let hasHead = text.hasSuffix("0\r\n\r\n") && text.contains("chunked") && cut >= bytes.count - 5
            #expect(decoder.answerSoFar() == (hasHead ? answer : nil), "cut at \(cut)")
            #expect(try decoder.receive(ByteBuffer(bytes: bytes[cut...])) == .answer(answer, isReusable: true))
        }
    }

    @Test func `content, Retry-After and Content-Type are passed on`() throws {
        let event = try read(
            "HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
        let answer = UpstreamResponse(
            status: 429, retryAfter: "3", contentType: "application/json", content: ByteBuffer(string: "{}"))
        #expect(event == .answer(answer, isReusable: true))
    }

    @Test func `an answer that ends with the connection is complete only then`() throws {
        var decoder = ResponseDecoder()
        #expect(try decoder.receive(ByteBuffer(string: "HTTP/1.1 400 Bad\r\n\r\nabc")) == .needsMoreBytes)
        #expect(decoder.answerSoFar() == UpstreamResponse(status: 400, content: ByteBuffer(string: "abc")))
    }

    @Test(arguments: [
        "HTTP/1.1 400 Bad\r\nContent-Length: 5\r\n\r\nabc",
        "HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\n",
        "HTTP/1.1 400 Bad\r\nContent-Length: 65537\r\n\r\nabc",
    ])
    func `with its head the status is known, whatever becomes of the content`(text: String) throws {
        var decoder = ResponseDecoder()
        #expect(try decoder.receive(ByteBuffer(string: text)) == .needsMoreBytes)
        #expect(decoder.answerSoFar() == UpstreamResponse(status: 400, content: ByteBuffer(string: "abc")))
    }

    @Test func `part of an accepted message's content is not passed on`() throws {
        var decoder = ResponseDecoder()
        let text = "HTTP/1.1 202 A\r\nContent-Length: 5\r\n\r\n{\"a"
        #expect(try decoder.receive(ByteBuffer(string: text)) == .needsMoreBytes)
        #expect(decoder.answerSoFar() == UpstreamResponse(status: 202))
    }

    @Test(arguments: [
        "Content-Length: 65537\r\n\r\n", "Connection: close\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n10001\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n10000\r\n",
    ])
    func `content above the limit ends at it`(framing: String) throws {
        let content = String(repeating: "x", count: UpstreamResponse.contentLimitBytes + 1)
        let limit = ByteBuffer(string: String(content.dropLast()))
        let event = try read("HTTP/1.1 400 Bad\r\n" + framing + content)
        #expect(event == .answer(UpstreamResponse(status: 400, content: limit), isReusable: false))
    }

    @Test func `broken chunks end the content, not the status`() throws {
        let event = try read("HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n")
        #expect(event == .answer(UpstreamResponse(status: 404, content: ByteBuffer(string: "abc")), isReusable: false))
    }

    @Test func `any number of interim responses is passed over`() throws {
        let interim = String(repeating: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", count: 100)
        let event = try read(interim + "HTTP/1.1 202 A\r\nContent-Length: 0\r\n\r\n")
        #expect(event == .answer(UpstreamResponse(status: 202), isReusable: true))
    }

    @Test(arguments: [
        ("Connection: foo, close\r\n", false), ("Connection: keep-alive, close\r\n", false),
        ("Connection: close, keep-alive\r\n", false), ("Connection: foo\r\nConnection: Close\r\n", false),
        ("Connection: closed\r\n", true), ("Connection: ,keep-alive ,\r\n", true), ("Connection: \r\n", true),
    ])
    func `close counts wherever it stands`(fields: String, isReusable: Bool) throws {
        let event = try read("HTTP/1.1 202 A\r\n\(fields)Content-Length: 0\r\n\r\n")
        #expect(event == .answer(UpstreamResponse(status: 202), isReusable: isReusable))
    }

    @Test func `a connection is not used again after close, or with bytes nobody asked for`() throws {
        let close = try read("HTTP/1.1 202 A\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        #expect(close == .answer(UpstreamResponse(status: 202), isReusable: false))
        let more = try read("HTTP/1.1 202 A\r\nContent-Length: 0\r\n\r\nHTTP/1.1 202")
        #expect(more == .answer(UpstreamResponse(status: 202), isReusable: false))
    }

    @Test(arguments: [
        "HTTP/2 202 A\r\n\r\n", "HTTP/1.1 20 A\r\n\r\n", "HTTP/1.1 2020\r\n\r\n", "garbage\r\n\r\n",
        "HTTP/1.1 202 A\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 202 A\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 202 A\nContent-Length: 0\n\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
    ])
    func `a malformed answer is an error`(text: String) {
        #expect(throws: FramingError.self) { try read(text) }
    }

    @Test func `a request id keeps its spelling`() throws {
        for id in [Self.uuid, Self.uuid.uppercased(), "abc-1", String(repeating: "x", count: 128)] {
            guard
                case .answer(let answer, _) = try read(
                    "HTTP/1.1 202 A\r\nX-Amzn-RequestId: \(id)\r\nContent-Length: 0\r\n\r\n")
            else { return #expect(Bool(false), "no answer") }
            #expect(answer.requestID?.description == id)
        }
    }
}
