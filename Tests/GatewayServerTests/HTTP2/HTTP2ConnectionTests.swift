import GatewayCore
import NIOCore
import NIOEmbedded
import NIOSSL
import Testing

@testable import GatewayServer

/// One connection over HTTP/2 on a testing channel: what `HTTP2ServerState` decides is done.
@Suite struct HTTP2ConnectionTests {
    /// Good for a hundred years.
    private static let certificate = """
        -----BEGIN CERTIFICATE-----
        MIIBkTCCATegAwIBAgIUAzc/AOiQXFReGjYecbrKpp2ultowCgYIKoZIzj0EAwIw
        HTEbMBkGA1UEAwwSb3JkZXJzLmV4YW1wbGUub3JnMCAXDTI2MTEyNzAyMjY0MVoY
        DzIxMjYxMTAzMDIyNjQxWjAdMRswGQYDVQQDDBJvcmRlcnMuZXhhbXBsZS5vcmcw
        WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ1pmP2dO5CT+BN/cOAnE8qA9bFHeq+
        EWczaFdlOD/NoeY1wJS/IjC/BF4VJISlImWsCtD2iRE4W/hOSN6o/3gho1MwUTAd
        BgNVHQ4EFgQUHjr1f9AtqAGp79XmHCp4qs73PsEwHwYDVR0jBBgwFoAUHjr1f9At
        qAGp79XmHCp4qs73PsEwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBF
        AiAusc4Ee/e9Z363n5gnuZV3Fi6wsk9e/cX87Dye6oiW1gIhAObRyqg0KPYFL2T4
        a3Kf25H/gbwOLXIHbq2F9O+fOfAS
        -----END CERTIFICATE-----
        """

    /// What a client sends first, with a request.
    private static func start(_ streams: UInt32...) -> ByteBuffer {
        var bytes = HTTP2Frame.preface
        bytes.writeSettings([])
        for stream in streams { bytes.writeRequest(stream) }
        return bytes
    }

    /// The frames that were sent so far.
    private func frames(_ bed: ConnectionBed) throws -> [HTTP2Frame] {
        var reader = HTTP2FrameReader()
        while let bytes = try bed.channel.readOutbound(as: ByteBuffer.self) { reader.receive(bytes) }
        var frames: [HTTP2Frame] = []
        while let frame = try reader.next() { frames.append(frame) }
        return frames
    }

    private func protocols(_ bed: ConnectionBed) -> [HTTPVersion: Int] {
        bed.listener.currentStatistics().connections
    }

    @Test func `a connection that begins with the preface is handed over, and counted once`() throws {
        let gate = ConnectionGate(limit: 2, perAddress: 1)
        let bed = try ConnectionBed(gate: gate)
        for byte in Self.start(1, 3).readableBytesView { try bed.receive(ByteBuffer(bytes: [byte])) }
        #expect(bed.handler.paths == ["/", "/"])
        #expect(bed.handler.peers.allSatisfy { $0.version == .http2 && $0.place == .ipv4(0x0A00_0001) })
        #expect(protocols(bed) == [.http2: 1])
        #expect(try frames(bed).filter { $0.kind == .headers }.map(\.stream) == [1, 3])
        #expect(!gate.opened(from: .ipv4(0x0A00_0001)), "it has the share of its address")
        try bed.end()
        #expect(protocols(bed) == [:])
        #expect(gate.opened(from: .ipv4(0x0A00_0001)), "and has given it back")
    }

    @Test func `responses that are not read for ten seconds end the connection`() throws {
        let bed = try ConnectionBed()
        try bed.receive(Self.start(1))
        bed.setWritable(false)
        var more = ByteBuffer()
        more.writeRequest(3)
        try bed.receive(more)
        #expect(bed.handler.paths.count == 1, "nothing is taken meanwhile")
        bed.pass(.seconds(9))
        #expect(bed.channel.isActive)
        bed.setWritable(true)
        #expect(bed.handler.paths.count == 2)
        bed.setWritable(false)
        bed.pass(.milliseconds(10_250))
        #expect(!bed.channel.isActive)
    }

    @Test func `a connection that drains is told so, answers what it has, and lingers until the client has read it`()
        throws
    {
        let bed = try ConnectionBed()
        bed.handler.answersLater = true
        try bed.receive(Self.start(1))
        _ = try frames(bed)
        bed.listener.drain()
        #expect(try frames(bed).isEmpty, "while the client waits, it is told nothing")
        bed.handler.answer()
        bed.channel.embeddedEventLoop.run()
        let sent = try frames(bed).map(\.kind)
        #expect(sent.first == .headers && sent.contains(.goAway))
        #expect(bed.channel.isActive)
        // The second step, and then time to read.
        bed.pass(.seconds(6))
        #expect(!bed.channel.isActive)
    }

    @Test func `a client that has sent all it will is answered, and then the connection ends`() throws {
        let bed = try ConnectionBed()
        bed.handler.answersLater = true
        try bed.receive(Self.start(1))
        _ = try frames(bed)
        bed.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        bed.channel.embeddedEventLoop.run()
        #expect(bed.channel.isActive)
        bed.handler.answer()
        bed.channel.embeddedEventLoop.run()
        #expect(try frames(bed).contains { $0.kind == .headers && $0.stream == 1 })
        bed.pass(.seconds(3))
        #expect(!bed.channel.isActive)
    }

    @Test func `a certificate that is no longer trusted authenticates nobody, and ends its connection`() throws {
        let certificate = try NIOSSLCertificate(bytes: Array(Self.certificate.utf8), format: .pem)
        let bed = try ConnectionBed()
        let peer = Peer(certificateNames: ["dns:orders.example.org"])
        let connection = HTTP2Connection(
            loop: bed.listener, limits: HTTP2ServerState.Limits(), peer: peer,
            // The listener's are now those before these.
            certificate: ClientCertificate(certificate, trustedBy: bed.listener.authorities + 1))
        let channel = EmbeddedChannel(handler: connection, loop: bed.channel.embeddedEventLoop)
        try channel.connect(to: SocketAddress(ipAddress: "10.0.0.1", port: 2)).wait()
        try channel.writeInbound(Self.start(1))
        #expect(bed.handler.peers.map(\.certificateNames) == [[]])
        connection.checkDeadlines(now: bed.channel.embeddedEventLoop.now)
        channel.embeddedEventLoop.run()
        var reader = HTTP2FrameReader()
        while let bytes = try channel.readOutbound(as: ByteBuffer.self) { reader.receive(bytes) }
        var kinds: [HTTP2Frame.Kind?] = []
        while let frame = try reader.next() { kinds.append(frame.kind) }
        #expect(kinds.contains(.goAway))
    }

    @Test func `connections of a trusted proxy have no share, and those of others have theirs`() throws {
        let gate = ConnectionGate(limit: 10, perAddress: 1)
        let network = try #require(IPNetwork("10.0.0.0/8"))
        func connect(from address: String) throws -> ConnectionBed {
            try ConnectionBed(gate: gate, from: address) { $0.trustedProxies = [.network(network)] }
        }
        let proxies = [try connect(from: "10.0.0.1"), try connect(from: "10.0.0.1")]
        #expect(proxies.allSatisfy { $0.channel.isActive } && gate.turnedAway == 0)
        let stranger = try connect(from: "192.0.2.1")
        #expect(stranger.channel.isActive && !gate.opened(from: .ipv4(0xC000_0201)) && gate.turnedAway == 1)
    }

    @Test func `behind the PROXY protocol, the share of the client's address counts, and is given back`() throws {
        let gate = ConnectionGate(limit: 10, perAddress: 1)
        let network = try #require(IPNetwork("10.0.0.0/8"))
        func connect() throws -> ConnectionBed {
            try ConnectionBed(gate: gate) {
                $0.trustedProxies = [.network(network)]
                $0.proxyProtocol = .required
            }
        }
        let header = ByteBuffer(string: "PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n")
        let (first, second, waiting) = (try connect(), try connect(), try connect())
        #expect(waiting.channel.isActive, "connections of the proxy have no share")
        try first.receive(header)
        try first.receive(Self.start(1))
        #expect(first.handler.peers.map(\.place) == [.ipv4(0xCB00_7109)])
        try second.receive(header)
        #expect(!second.channel.isActive && gate.turnedAway == 1)
        try first.end()
        try waiting.receive(header)
        #expect(waiting.channel.isActive)
        try waiting.end()
        #expect(gate.opened(from: .ipv4(0xCB00_7109)))
        for _ in 0..<9 { #expect(!gate.isShut && gate.opened(from: .local)) }
        #expect(gate.isShut, "all three were given back")
    }
}
