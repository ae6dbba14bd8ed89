import GatewayCore
import NIOCore
import NIOEmbedded
import Testing

@testable import GatewayServer

/// The PROXY protocol, versions 1 and 2, as its specification has them.
@Suite struct ProxyHeaderTests {
    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    private static let ipv4: [UInt8] = [192, 0, 2, 7, 10, 0, 0, 1, 0xDB, 0xF0, 0x01, 0xBB]
    private static let ipv6: [UInt8] =
        [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [9]
        + [UInt8](repeating: 0, count: 15) + [1, 0xDB, 0xF0, 0x01, 0xBB]

    private static func binary(_ command: UInt8, _ family: UInt8, _ payload: [UInt8]) -> [UInt8] {
        signature + [command, family, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)] + payload
    }

    /// Headers, and the address each names: nil: none.
    private static let good: [(header: [UInt8], client: String?)] = [
        (Array("PROXY TCP4 192.0.2.7 10.0.0.1 56304 443\r\n".utf8), "192.0.2.7:56304"),
        (Array("PROXY TCP4 192.0.2.7 10.0.0.1 0 65535\r\n".utf8), "192.0.2.7:0"),
        (Array("PROXY TCP6 2001:db8::9 ::1 56304 443\r\n".utf8), "2001:db8::9:56304"),
        (Array("PROXY UNKNOWN\r\n".utf8), nil),
        (Array("PROXY UNKNOWN ffff:f...f:ffff ffff 65535 65535\r\n".utf8), nil),
        (binary(0x21, 0x11, ipv4), "192.0.2.7:56304"),
        (binary(0x21, 0x21, ipv6), "2001:db8::9:56304"),
        // With something more that is to be skipped (section 2.2.7).
        (binary(0x21, 0x11, ipv4 + [0x04, 0, 2, 0, 0]), "192.0.2.7:56304"),
        (binary(0x21, 0x31, [UInt8](repeating: 0x61, count: 216)), nil),
        (binary(0x21, 0x00, []), nil),
        // A balancer that looks whether the gateway is there.
        (binary(0x20, 0x00, []), nil),
        (binary(0x20, 0x11, ipv4), nil),
    ]

    private static func text(_ decision: ProxyHeader.Decision) -> String {
        switch decision {
        case .undecided: "undecided"
        case .malformed: "malformed"
        case .complete(let client, let rest):
            "\(client.map { "\($0.ipAddress ?? ""):\($0.port ?? -1)" } ?? "nobody") \(String(buffer: rest))"
        }
    }

    @Test(arguments: good) func `a header names the client`(header: [UInt8], client: String?) {
        let expected = "\(client ?? "nobody") GET /"
        var whole = ProxyHeader()
        #expect(Self.text(whole.receive(ByteBuffer(bytes: header + Array("GET /".utf8)))) == expected)

        var piecewise = ProxyHeader()
        for byte in header.dropLast() { #expect(piecewise.receive(ByteBuffer(bytes: [byte])) == .undecided) }
        let last = ByteBuffer(bytes: [header[header.count - 1]] + Array("GET /".utf8))
        #expect(Self.text(piecewise.receive(last)) == expected)
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n", "PROXY\r\n", "PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4  1\r\n", "PROXY TCP4 ::1 ::1 1 1\r\n", "PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY TCP4 1.2.3 1.2.3.4 1 1\r\n", "PROXY TCP6 fe80::1%lo ::1 1 1\r\n",
        "PROXY TCP4 1.2.3.4\0x 1.2.3.4 1 1\r\n", "PROXY TCP4 localhost 1.2.3.4 1 1\r\n",
        "PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n", "proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n", "PROXY UNKNOWNX\r\n",
        "PROXY UNKNOWN " + String(repeating: "x", count: 100) + "\r\n", "\r\nGET / HTTP/1.1",
    ])
    func `anything else is malformed`(text: String) {
        var whole = ProxyHeader()
        #expect(whole.receive(ByteBuffer(string: text)) == .malformed)
        var piecewise = ProxyHeader()
        let decisions = text.utf8.map { piecewise.receive(ByteBuffer(bytes: [$0])) }
        #expect(decisions.first { $0 != .undecided } == .malformed)
    }

    @Test(arguments: [
        binary(0x11, 0x11, ipv4), binary(0x22, 0x11, ipv4), binary(0x21, 0x12, ipv4), binary(0x21, 0x41, ipv4),
        binary(0x21, 0x11, Array(ipv4.dropLast())), binary(0x21, 0x21, ipv4),
        binary(0x21, 0x11, ipv4 + [UInt8](repeating: 0, count: 4096)),
    ])
    func `and so is another version, command or family, or an address that is cut off`(bytes: [UInt8]) {
        var header = ProxyHeader()
        #expect(header.receive(ByteBuffer(bytes: bytes)) == .malformed)
    }

    /// A connection from a proxy, or from somebody else.
    private static func channel(
        from address: String, _ refused: @escaping (ProxyRefusal) -> Void
    ) throws -> EmbeddedChannel {
        let network = try #require(IPNetwork("10.0.0.0/8"))
        let handler = ProxyHeaderHandler(trusted: TrustedProxies([.network(network)])) { refusal, _ in refused(refusal)
        }
        let channel = EmbeddedChannel(handler: handler)
        channel.remoteAddress = try SocketAddress(ipAddress: address, port: 1)
        channel.pipeline.fireChannelActive()
        return channel
    }

    @Test func `only what a trusted proxy says behind its header gets through`() throws {
        var refusals: [ProxyRefusal] = []
        let good = try Self.channel(from: "10.1.2.3") { refusals.append($0) }
        try good.writeInbound(ByteBuffer(string: "PROXY UNKNOWN\r\n"))
        try good.writeInbound(ByteBuffer(string: "GET /"))
        #expect(try good.readInbound(as: ByteBuffer.self).map { String(buffer: $0) } == "GET /")
        #expect(refusals.isEmpty)

        let stranger = try Self.channel(from: "192.0.2.1") { refusals.append($0) }
        _ = try? stranger.writeInbound(ByteBuffer(string: "PROXY TCP4 10.0.0.1 10.0.0.1 1 1\r\nGET /"))
        let wrong = try Self.channel(from: "10.1.2.3") { refusals.append($0) }
        _ = try? wrong.writeInbound(ByteBuffer(string: "GET / HTTP/1.1\r\n"))
        _ = try? wrong.writeInbound(ByteBuffer(string: "PROXY UNKNOWN\r\nGET /"))
        #expect(try stranger.readInbound(as: ByteBuffer.self) == nil)
        #expect(try wrong.readInbound(as: ByteBuffer.self) == nil)
        #expect(refusals == [.untrusted, .malformed])
    }
}
