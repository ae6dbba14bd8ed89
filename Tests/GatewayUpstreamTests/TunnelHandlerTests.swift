import GatewayCore
import NIOCore
import NIOEmbedded
import Testing

@testable import GatewayUpstream

@Suite struct TunnelHandlerTests {
    /// What becomes of the tunnel, and what its first handler reads.
    private final class Behind: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        var isOpen = false
        var bytes = ""
        var error: (any Error)?

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            bytes += String(buffer: unwrapInboundIn(data))
        }
    }

    private func connected() throws -> (EmbeddedChannel, Behind) {
        let proxy = try #require(ForwardProxy(url: "http://user:pass@proxy:3128"))
        let (channel, behind) = (EmbeddedChannel(), Behind())
        try channel.connect(to: SocketAddress(ipAddress: "10.0.0.1", port: 3128)).wait()
        TunnelHandler.open(
            proxy, to: try APIEndpoint(parsing: "https://api.example.org"), on: channel, within: .seconds(2)
        ).assumeIsolated().whenComplete { result in
            do {
                try result.get()
                behind.isOpen = true
                try channel.pipeline.syncOperations.addHandler(behind)
            } catch {
                behind.error = error
            }
        }
        let request = try channel.readOutbound(as: ByteBuffer.self).map { String(buffer: $0) }
        #expect(request?.hasPrefix("CONNECT api.example.org:443 HTTP/1.1\r\n") == true)
        #expect(request?.contains("Proxy-Authorization: Basic ") == true)
        return (channel, behind)
    }

    @Test func `behind any 2xx there is a tunnel, wherever the answer is cut`() throws {
        let answer = Array("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhello".utf8)
        for cut in 0...answer.count {
            let (channel, behind) = try connected()
            #expect(!behind.isOpen)
            try channel.writeInbound(ByteBuffer(bytes: answer[..<cut]))
            try channel.writeInbound(ByteBuffer(bytes: answer[cut...]))
            #expect(behind.isOpen && behind.bytes == "hello" && behind.error == nil, "cut at \(cut)")
        }
    }

    @Test(arguments: [
        "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "HTTP/1.1 302 Found\r\n\r\n", "nonsense\r\n\r\n",
    ])
    func `behind anything else there is none`(answer: String) throws {
        let (channel, behind) = try connected()
        try channel.writeInbound(ByteBuffer(string: answer))
        #expect(!behind.isOpen && behind.error is TunnelHandler.TunnelError && !channel.isActive)
    }

    @Test func `an answer without an end is not waited for`() throws {
        let (channel, behind) = try connected()
        for _ in 0..<9 { _ = try? channel.writeInbound(ByteBuffer(string: String(repeating: "x", count: 1024))) }
        #expect(!behind.isOpen && behind.error is TunnelHandler.TunnelError)
    }

    @Test func `a proxy that says nothing is waited for no longer than a connection`() throws {
        let (channel, behind) = try connected()
        channel.embeddedEventLoop.advanceTime(by: .seconds(2))
        #expect(!behind.isOpen && behind.error is ChannelError && !channel.isActive)
    }
}
