import NIOCore
import Testing

@testable import GatewayCore

@Suite struct TrustedProxiesTests {
    private static func proxies(_ networks: String...) throws -> TrustedProxies {
        TrustedProxies(try networks.map { .network(try #require(IPNetwork($0))) })
    }

    private static func request(_ lines: [String]) throws -> InboundRequest {
        var text = "POST / HTTP/1.1\r\nHost: a\r\n"
        for line in lines { text += "X-Forwarded-For: \(line)\r\n" }
        let bytes = ByteBuffer(string: text + "\r\n")
        let head = try RequestHead(parsing: bytes.readableBytesUInt8Span, maximumFields: 20)
        var ids = ExchangeIDs()
        return InboundRequest(head: head, headBytes: bytes, content: ByteBuffer(), id: ids.next())
    }

    @Test(
        arguments: [
            (["192.0.2.7"], "192.0.2.7"),
            // What stands before the last address that no proxy has is the client's own word.
            (["203.0.113.9, 192.0.2.7"], "192.0.2.7"),
            (["203.0.113.9, 192.0.2.7, 10.0.0.2,10.0.0.3"], "192.0.2.7"),
            (["203.0.113.9", "192.0.2.7", "10.0.0.2"], "192.0.2.7"),
            (["10.0.0.9, 10.0.0.2"], "10.0.0.9"),
            (["2001:db8::9"], "2001:db8::9"),
            (["192.0.2.7:4711"], "192.0.2.7"), (["[2001:db8::9]:4711"], "2001:db8::9"),
            (["[2001:db8::9]"], "2001:db8::9"),
            (["192.0.2.7,\t ::ffff:10.0.0.2 "], "192.0.2.7"),
            // What cannot be read hides what stands before it.
            (["203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2"),
            // To text, the proxy's comma would be part of the character before it.
            (["\u{0600}, 192.0.2.7"], "192.0.2.7"), (["203.0.113.9,\u{0600}, 192.0.2.7"], "192.0.2.7"),
            (["unknown"], nil), ([""], nil), (["203.0.113.9, "], nil), (["localhost"], nil), (["0192.0.2.7"], nil),
            ([], nil),
        ] as [([String], String?)])
    func `the client is the last address that is not a proxy's`(lines: [String], client: String?) throws {
        let proxies = try Self.proxies("10.0.0.0/8")
        #expect(proxies.client(of: try Self.request(lines))?.ipAddress == client)
    }

    @Test func `of a chain without end only so much is looked at`() throws {
        let chain = (1...20).map { "10.0.0.\($0)" }.joined(separator: ", ")
        let client = try Self.proxies("10.0.0.0/8").client(of: Self.request(["203.0.113.9, \(chain)"]))
        #expect(client?.ipAddress == "10.0.0.4", "behind sixteen proxies")
    }

    /// Remembers whom requests come from.
    private final class Handler: RequestHandler {
        var peers: [Peer] = []

        func handle(_ request: InboundRequest, from peer: Peer, to recipient: any ResponseRecipient) {
            peers.append(peer)
        }
        func refusal(beforeContentOf request: InboundRequest, from peer: Peer) -> Refusal? { nil }
        func refused(_ problem: Problem, _ id: ExchangeID, from peer: Peer) {}
    }

    private final class Nobody: ResponseRecipient {
        func answered(_ answer: Response) {}
    }

    @Test func `the field counts only if a trusted proxy sends it`() throws {
        let handler = Handler()
        let proxied = ProxiedHandler(handler, behind: try Self.proxies("10.0.0.0/8"))
        let proxy = Peer(
            address: try SocketAddress(ipAddress: "10.0.0.2", port: 1), certificateNames: ["dns:a"], version: .http2)
        let stranger = Peer(address: try SocketAddress(ipAddress: "192.0.2.1", port: 1))
        let socket = Peer()
        for peer in [proxy, proxy, stranger, socket] {
            proxied.handle(try Self.request(["203.0.113.9"]), from: peer, to: Nobody())
        }
        proxied.handle(try Self.request([]), from: proxy, to: Nobody())
        #expect(handler.peers.map(\.addressText) == ["203.0.113.9", "203.0.113.9", "192.0.2.1", "local", "10.0.0.2"])
        #expect(handler.peers[0] === handler.peers[1], "made once as long as it is the same")
        #expect(handler.peers[0].place == .ipv4(0xCB00_7109))
        #expect(handler.peers[4] === proxy)
        #expect(handler.peers[0].certificateNames == ["dns:a"] && handler.peers[0].version == .http2)
    }

    @Test func `a connection that is gone leaves nothing behind of those it spoke for`() throws {
        let handler = Handler()
        let proxied = ProxiedHandler(handler, behind: try Self.proxies("10.0.0.0/8"))
        weak var client: Peer?
        weak var connection: Peer?
        do {
            let proxy = Peer(address: try SocketAddress(ipAddress: "10.0.0.2", port: 1))
            proxied.handle(try Self.request(["203.0.113.9"]), from: proxy, to: Nobody())
            (client, connection) = (handler.peers.first, proxy)
            handler.peers = []
            #expect(client != nil && connection != nil)
        }
        #expect(client == nil && connection == nil)
    }

    @Test func `an IPv4 address is logged as such, whichever family its listener is of`() throws {
        let mapped = Peer(address: try SocketAddress(ipAddress: "::ffff:203.0.113.9", port: 1))
        let other = Peer(address: try SocketAddress(ipAddress: "2001:db8::9", port: 1))
        #expect(mapped.addressText == "203.0.113.9" && other.addressText == "2001:db8::9")
    }

    @Test func `a Unix socket is trusted only if it is said to be`() throws {
        let path = try SocketAddress(unixDomainSocketPath: "/x")
        #expect(TrustedProxies([.unixSockets]).contains(nil) && TrustedProxies([.unixSockets]).contains(path))
        let loopback = try SocketAddress(ipAddress: "::1", port: 1)
        #expect(!TrustedProxies([.unixSockets]).contains(loopback))
        let everyone = try Self.proxies("0.0.0.0/0", "::/0")
        #expect(!everyone.contains(nil))
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false), ("10.0.0.0/8", "::ffff:10.0.0.1", true),
        ("192.0.2.7", "192.0.2.7", true), ("192.0.2.7", "192.0.2.8", false), ("0.0.0.0/0", "1.2.3.4", true),
        ("0.0.0.0/0", "2001:db8::1", false), ("::/0", "1.2.3.4", true), ("2001:db8::/32", "2001:db8:1::1", true),
        ("2001:db8::/32", "2001:db9::1", false), ("::1", "::1", true), ("192.0.2.128/25", "192.0.2.127", false),
    ])
    func `a network holds the addresses that begin with its bits`(network: String, address: String, isIn: Bool) throws {
        let network = try #require(IPNetwork(network))
        #expect(network.contains(try SocketAddress(ipAddress: address, port: 1)) == isIn)
    }

    @Test(arguments: [
        "", "10", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/", "10.0.0.1/8", "::/129", "a/8",
        "10.0.0.0/8/8",
    ])
    func `what is no network is refused`(text: String) {
        #expect(IPNetwork(text) == nil)
    }
}
