import NIOCore
import NIOEmbedded
import NIOSSL
import Testing

@testable import GatewayServer

/// RFC 7301 section 3.2, with the first message of a real TLS client.
@Suite struct ProtocolCheckTests {
    private static func hello(offering protocols: [String]) throws -> ByteBuffer {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.applicationProtocols = protocols
        let client = EmbeddedChannel()
        try client.pipeline.syncOperations.addHandler(
            NIOSSLClientHandler(context: NIOSSLContext(configuration: configuration), serverHostname: nil))
        try client.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        let hello = try #require(try client.readOutbound(as: ByteBuffer.self))
        _ = try? client.finish(acceptAlreadyClosed: true)
        return hello
    }

    /// What comes out of the check, both ways.
    private struct Outcome: Equatable {
        var passed: [UInt8] = []
        var sent: [UInt8] = []
        var isOpen = true
        var hasLeft = false
    }

    private static func outcome(of pieces: [ByteBuffer]) throws -> Outcome {
        let channel = EmbeddedChannel()
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        try channel.pipeline.syncOperations.addHandler(ProtocolCheck(spoken: ["http/1.1"]))
        for piece in pieces where channel.isActive { try channel.writeInbound(piece) }
        channel.embeddedEventLoop.run()
        var outcome = Outcome(isOpen: channel.isActive)
        outcome.hasLeft = (try? channel.pipeline.syncOperations.handler(type: ProtocolCheck.self)) == nil
        while let bytes = try channel.readInbound(as: ByteBuffer.self) { outcome.passed += Array(buffer: bytes) }
        while let bytes = try channel.readOutbound(as: ByteBuffer.self) { outcome.sent += Array(buffer: bytes) }
        return outcome
    }

    @Test(arguments: [["h2"], ["h2", "spdy/3"], ["HTTP/1.1"], ["http/1.0"]])
    func `a client that offers nothing that is spoken is told so`(protocols: [String]) throws {
        let hello = try Self.hello(offering: protocols)
        let outcome = try Self.outcome(of: [hello])
        #expect(outcome.sent == [21, 3, 3, 0, 2, 2, 120])
        #expect(outcome.passed.isEmpty && !outcome.isOpen)
    }

    @Test(arguments: [[], ["http/1.1"], ["h2", "http/1.1"]])
    func `any other client's bytes pass as they came, and the check leaves`(protocols: [String]) throws {
        let hello = try Self.hello(offering: protocols)
        let expected = Outcome(passed: Array(buffer: hello), hasLeft: true)
        #expect(try Self.outcome(of: [hello]) == expected)
        var rest = hello
        var pieces: [ByteBuffer] = []
        while let byte = rest.readSlice(length: 1) { pieces.append(byte) }
        #expect(try Self.outcome(of: pieces) == expected)
    }

    @Test func `a message in several records is read`() throws {
        var hello = try Self.hello(offering: ["h2"])
        hello.moveReaderIndex(forwardBy: 5)
        var pieces: [ByteBuffer] = []
        while let content = hello.readSlice(length: min(100, hello.readableBytes)), content.readableBytes > 0 {
            var record = ByteBuffer(bytes: [22, 3, 1])
            try record.writeLengthPrefixed(as: UInt16.self) { $0.writeImmutableBuffer(content) }
            pieces.append(record)
        }
        let outcome = try Self.outcome(of: pieces)
        #expect(outcome.sent == [21, 3, 3, 0, 2, 2, 120] && !outcome.isOpen)
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n", "\u{16}\u{3}\u{1}\u{0}\u{0}", "\u{16}\u{3}\u{1}\u{0}\u{1}\u{2}",
        "\u{16}\u{3}\u{1}\u{7F}\u{7F}",
    ])
    func `what is no such message is left to the TLS library`(text: String) throws {
        let bytes = ByteBuffer(string: text)
        #expect(try Self.outcome(of: [bytes]) == Outcome(passed: Array(buffer: bytes), hasLeft: true))
    }
}
