import GatewayCore
import NIOCore
import NIOHPACK
import Testing

@testable import GatewayUpstream

@Suite struct HTTP2RequestWriterTests {
    private func writer(_ endpoint: String = "https://api.eu.amazonalexa.com") throws -> HTTP2RequestWriter {
        HTTP2RequestWriter(endpoint: try APIEndpoint(parsing: endpoint), userAgent: "skillgate/1")
    }

    private func decoder() -> HPACKDecoder { HPACKDecoder(allocator: ByteBufferAllocator()) }

    private func block(
        _ writer: inout HTTP2RequestWriter, user: String = "u%3Av", token: String = "Atc|1", generation: UInt64 = 1,
        skill: Int = 0
    ) -> ByteBuffer {
        let sample = SampleRequest.of(user: user)
        let request = UpstreamRequest(
            user: sample.user, token: AccessToken(token, generation: generation, expires: .distantFuture),
            content: sample.content)
        var buffer = ByteBuffer()
        writer.write(request, skill: skill, to: &buffer)
        return buffer
    }

    private func fields(_ block: ByteBuffer, _ decoder: inout HPACKDecoder) throws -> [String] {
        var block = block
        return try decoder.decodeHeaders(from: &block).map { "\($0.name): \($0.value)" }
    }

    @Test func `another decoder reads what a request has, pseudo-header fields first`() throws {
        var (writer, decoder) = (try writer("https://localhost:8443/eu"), decoder())
        for _ in 0..<2 {
            #expect(
                try fields(block(&writer), &decoder) == [
                    ":method: POST", ":scheme: https", ":authority: localhost:8443",
                    ":path: /eu/v1/skillmessages/users/u%3Av", "user-agent: skillgate/1", "accept: application/json",
                    "content-type: application/json", "authorization: Bearer Atc|1", "content-length: 11",
                ])
        }
        var plain = try self.writer("http://127.0.0.1:1")
        var first = self.decoder()
        #expect(try fields(block(&plain), &first).contains(":scheme: http"))
    }

    @Test func `what is the same again takes a byte`() throws {
        var writer = try writer()
        let token = String(repeating: "x", count: 360)
        let first = block(&writer, token: token).readableBytes
        let next = block(&writer, token: token).readableBytes
        #expect(first > 430 && next < 60, "\(first), then \(next)")
    }

    @Test func `each skill has its token, and a new one is told`() throws {
        var (writer, decoder) = (try writer(), decoder())
        for (token, generation, skill) in [("a", 1, 0), ("b", 1, 1), ("a", 1, 0), ("c", 2, 0), ("b", 1, 1)]
            as [(String, UInt64, Int)]
        {
            let block = block(&writer, token: token, generation: generation, skill: skill)
            #expect(try fields(block, &decoder).contains("authorization: Bearer \(token)"))
        }
    }

    @Test func `more tokens than the peer remembers are told again`() throws {
        var (writer, decoder) = (try writer(), decoder())
        for round in 0..<3 {
            for skill in 0..<40 {
                let token = String(repeating: "x", count: 300) + "\(skill)"
                let read = try fields(block(&writer, token: token, skill: skill), &decoder)
                #expect(read.count == 9 && read.contains("authorization: Bearer \(token)"), "round \(round)")
            }
        }
    }

    @Test func `a peer whose table changes is told, and nothing is taken for granted`() throws {
        var (writer, decoder) = (try writer(), decoder())
        _ = try fields(block(&writer), &decoder)
        writer.tableOffered(0)
        for size in [0, 200, 4096, 100_000] {
            decoder = self.decoder()
            writer = try self.writer()
            _ = try fields(block(&writer), &decoder)
            writer.tableOffered(0)
            writer.tableOffered(size)
            for _ in 0..<3 {
                let read = try fields(block(&writer), &decoder)
                #expect(read.count == 9 && read.contains(":authority: api.eu.amazonalexa.com"), "\(size)")
            }
        }
    }
}
