import GatewayCore
import NIOCore
import NIOHPACK
import Testing

@testable import GatewayServer

@Suite struct HTTP2ResponseWriterTests {
    private static let accepted =
        "HTTP/1.1 202 Accepted\r\nGateway-Region: NA\r\nProxy-Status: skillgate; next-hop=\"a:1\"\r\n"
        + "Date: Thu, 26 Nov 2026 21:34:23 GMT\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    private static let refused =
        "HTTP/1.1 404 Not Found\r\nAllow: GET, PUT\r\nContent-Type: application/json\r\nX-Empty:\r\nContent-Length: 2\r\n\r\n{}"

    /// The fields of a response, by another's decoder, and whether it ends its stream.
    private func fields(
        of response: inout ByteBuffer, _ writer: inout HTTP2ResponseWriter, _ decoder: inout HPACKDecoder
    ) throws -> (fields: [String], endsStream: Bool) {
        var output = ByteBuffer()
        writer.writeHead(&response, stream: 1, to: &output)
        var reader = HTTP2FrameReader()
        reader.receive(output)
        let frame = try #require(try reader.next())
        #expect(frame.kind == .headers && frame.stream == 1 && frame.has(HTTP2Frame.Flag.endHeaders))
        var block = frame.payload
        let headers = try decoder.decodeHeaders(from: &block)
        return (headers.map { "\($0.name): \($0.value)" }, frame.has(HTTP2Frame.Flag.endStream))
    }

    @Test func `what HTTP 1 would say is said, but what is of its connection`() throws {
        var writer = HTTP2ResponseWriter()
        var decoder = HPACKDecoder(allocator: ByteBufferAllocator())
        var response = ByteBuffer(string: Self.accepted)
        let accepted = try fields(of: &response, &writer, &decoder)
        #expect(accepted.endsStream)
        #expect(
            accepted.fields == [
                ":status: 202", "gateway-region: NA", "proxy-status: skillgate; next-hop=\"a:1\"",
                "date: Thu, 26 Nov 2026 21:34:23 GMT", "content-length: 0",
            ])
        response = ByteBuffer(string: Self.refused)
        let refused = try fields(of: &response, &writer, &decoder)
        #expect(!refused.endsStream)
        #expect(String(buffer: response) == "{}")
        #expect(
            refused.fields == [
                ":status: 404", "allow: GET, PUT", "content-type: application/json", "x-empty: ", "content-length: 2",
            ])
    }

    @Test func `a client whose table gets smaller is told that this is known`() throws {
        var writer = HTTP2ResponseWriter()
        writer.tableOffered(0)
        var output = ByteBuffer()
        var response = ByteBuffer(string: Self.accepted)
        writer.writeHead(&response, stream: 1, to: &output)
        // RFC 7541 section 4.2: at the start of the first block that follows.
        #expect(output.getInteger(at: HTTP2Frame.headBytes, as: UInt8.self) == 0x20)
    }
}

@Suite struct HTTP2PrefaceTests {
    @Test(arguments: 1...24)
    func `a client that speaks HTTP2 is known by its first bytes, however they come`(_ pieceBytes: Int) {
        var preface = HTTP2Preface()
        var bytes = HTTP2Frame.preface
        bytes.writeString("more")
        let all = bytes
        while let piece = bytes.readSlice(length: min(pieceBytes, bytes.readableBytes)), piece.readableBytes > 0 {
            switch preface.receive(piece) {
            case .undecided: continue
            case .isHTTP2(let seen):
                #expect(seen == all.getSlice(at: 0, length: seen.readableBytes))
                #expect(seen.readableBytes >= 24)
                return
            case .isOther: Issue.record("taken for something else")
            }
        }
        Issue.record("never decided")
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n", "POST /x", "PRI * HTTP/1.1\r\n", "PUT /", "PRI * HTTP/2.0\r\n\r\nXX", "\r\n",
    ])
    func `a client that does not is known as soon as it differs`(_ start: String) {
        var preface = HTTP2Preface()
        let common = zip(start.utf8, HTTP2Frame.preface.readableBytesView).prefix { $0 == $1 }.count
        for (place, byte) in start.utf8.enumerated() {
            let decision = preface.receive(ByteBuffer(bytes: [byte]))
            guard place == common else {
                #expect(decision == .undecided)
                continue
            }
            #expect(decision == .isOther(ByteBuffer(bytes: start.utf8.prefix(place + 1))))
            return
        }
        Issue.record("never decided")
    }
}
