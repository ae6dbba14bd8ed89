import GatewayCore
import NIOCore
import NIOEmbedded
import NIOTLS
import Testing

@testable import GatewayUpstream

/// A region that speaks HTTP/2, on testing channels.
@Suite struct HTTP2PoolTests {
    private typealias Peer = ScriptedHTTP2Peer

    private final class Bed {
        let loop = EmbeddedEventLoop()
        let pool: RegionalPool
        private let openings: Openings
        private(set) var channels: [EmbeddedChannel] = []
        var peers: [Peer] = []

        private final class Openings { var waiting: [any ChannelHandler] = [] }

        init(_ use: HTTP2Use = HTTP2Use(streamsPerConnection: 4), isSecure: Bool = true, breaksCircuit: Bool = true)
            throws
        {
            var configuration = RegionConfiguration()
            configuration.circuit.isEnabled = breaksCircuit
            configuration.http2 = use
            let openings = Openings()
            self.openings = openings
            pool = RegionalPool(
                to: try APIEndpoint(parsing: "http\(isSecure ? "s" : "")://127.0.0.1:1/na"), isBehindProxy: false,
                addresses: NIOLoopBoundBox(HostAddresses(), eventLoop: loop), userAgent: "test",
                configuration: configuration, eventLoop: loop, onConnectFailure: { _ in }, onCircuitChange: { _ in }
            ) { handler, _, _ in openings.waiting.append(handler) }
        }

        var opening: Int { openings.waiting.count }

        /// Opens what was asked for first.
        func open(_ settings: ByteBuffer? = Peer.settings(), negotiating name: String? = "h2") throws {
            let channel = EmbeddedChannel(loop: loop)
            channels.append(channel)
            peers.append(Peer())
            try channel.pipeline.syncOperations.addHandler(openings.waiting.removeFirst())
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
            channel.pipeline.fireUserInboundEventTriggered(TLSUserEvent.handshakeCompleted(negotiatedProtocol: name))
            if let settings { try write(settings, on: channels.count - 1) }
        }

        private(set) var failures = 0

        /// What was asked for first cannot be opened.
        func failOpening() {
            failures += 1
            (openings.waiting.removeFirst() as? ConnectingHandler)?.failed(ChannelError.ioOnClosedChannel)
        }

        func write(_ bytes: ByteBuffer, on connection: Int = 0) throws {
            try channels[connection].writeInbound(bytes)
            loop.run()
        }

        func accept(_ stream: UInt32, on connection: Int = 0) throws {
            try write(peers[connection].accepted(stream), on: connection)
        }

        /// What was written, as so many pieces.
        @discardableResult func read(_ connection: Int = 0) throws -> Int {
            var writes = 0
            while var bytes = try channels[connection].readOutbound(as: ByteBuffer.self) {
                writes += 1
                try peers[connection].read(&bytes)
            }
            return writes
        }

        func lease(_ message: Message) {
            if let result = pool.lease(for: message) { message.upstreamLeased(result) }
        }

        func send(_ message: Message) -> Bool? {
            message.deadline = min(message.deadline, loop.now + .seconds(10))
            return message.connection?.send(SampleRequest.any, limit: loop.now + .seconds(10), receiver: message)
        }

        func pass(_ time: TimeAmount) { loop.advanceTime(by: time) }
    }

    @Test func `messages of one turn share a connection and a write`() throws {
        let bed = try Bed()
        let messages = (0..<4).map { _ in Message() }
        for message in messages { bed.lease(message) }
        #expect(bed.opening == 2 && bed.pool.status.connections.connecting == 2)
        try bed.open()
        #expect(messages.allSatisfy { $0.connection != nil } && bed.pool.status.connections.leased == 1)
        try bed.read()
        for message in messages { #expect(bed.send(message) == true) }
        bed.loop.run()
        #expect(try bed.read() == 1 && bed.peers[0].requests.count == 4)
        for stream in [5, 1, 7, 3] as [UInt32] { try bed.accept(stream) }
        #expect(messages.allSatisfy { $0.answer?.status == 202 })
        #expect(bed.pool.status.connections == UpstreamConnectionCounts(idle: 1, leased: 0, connecting: 1))
    }

    /// A channel that each write makes full, and that has room again before the write returns.
    private final class Brim: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            context.write(data, promise: promise)
            context.fireChannelWritabilityChanged()
        }
    }

    @Test func `what is being written is not written again when the channel has room`() throws {
        let bed = try Bed()
        let message = Message()
        bed.lease(message)
        try bed.open()
        try bed.read()
        try bed.channels[0].pipeline.syncOperations.addHandler(Brim(), position: .first)
        #expect(bed.send(message) == true)
        bed.loop.run()
        #expect(try bed.read() == 1 && bed.peers[0].requests.count == 1)
    }

    @Test func `where TLS agrees on nothing, HTTP/1.1 is spoken`() throws {
        for name in [nil, "http/1.1"] {
            let bed = try Bed()
            let message = Message()
            bed.lease(message)
            try bed.open(nil, negotiating: name)
            #expect(bed.send(message) == true)
            let request = try bed.channels[0].readOutbound(as: ByteBuffer.self).map { String(buffer: $0) }
            #expect(request?.hasPrefix("POST /na/v1/skillmessages/users/u HTTP/1.1\r\n") == true)
        }
    }

    @Test(arguments: [
        (HTTP2Use.Mode.off, true, ["http/1.1"], false), (.auto, true, ["h2", "http/1.1"], true),
        (.on, true, ["h2", "http/1.1"], true), (.auto, false, ["h2", "http/1.1"], false),
        (.on, false, ["h2", "http/1.1"], true),
    ])
    func `what is spoken is what was chosen`(
        mode: HTTP2Use.Mode, isSecure: Bool, offered: [String], isHTTP2: Bool
    ) throws {
        #expect(HTTP2Use(mode).applicationProtocols == offered)
        let bed = try Bed(HTTP2Use(mode), isSecure: isSecure)
        let message = Message()
        bed.lease(message)
        try bed.open(nil)
        #expect((message.connection == nil) == isHTTP2, "settings are awaited")
        #expect((try bed.channels[0].readOutbound(as: ByteBuffer.self) != nil) == isHTTP2)
    }

    @Test func `a peer whose settings do not come in time has not connected`() throws {
        let bed = try Bed()
        let message = Message()
        bed.lease(message)
        try bed.open(nil)
        bed.pass(.milliseconds(2_000))
        // As with any handshake, there is one more try.
        #expect(!bed.channels[0].isActive && bed.opening == 1)
        try bed.open(nil)
        try bed.write(ByteBuffer(string: "HTTP/1.1 400 Bad Request\r\n\r\n"), on: 1)
        #expect(!bed.channels[1].isActive && message.unavailable == .connectionLost)
    }

    @Test func `what breaks the protocol ends the connection, and what was on it is not known`() throws {
        let bed = try Bed()
        let messages = (0..<2).map { _ in Message() }
        for message in messages { bed.lease(message) }
        try bed.open()
        for message in messages { _ = bed.send(message) }
        bed.loop.run()
        try bed.write(bed.peers[0].head(1, [(":status", "202")]) + Peer.windowUpdate(0, by: 0))
        try bed.read()
        #expect(bed.peers[0].goneAway?.code == HTTP2Error.Code.protocolError.rawValue && !bed.channels[0].isActive)
        #expect(messages[0].answer?.status == 202)
        guard case .malformedAnswer = messages[1].failure else { return #expect(Bool(false)) }
        #expect(bed.pool.status.connections.leased == 0 && bed.pool.status.connections.idle == 0)
    }

    @Test func `a connection that drains is closed with its last message, and others go to another`() throws {
        let bed = try Bed()
        let (first, second) = (Message(), Message())
        bed.lease(first)
        try bed.open()
        _ = bed.send(first)
        bed.loop.run()
        bed.lease(second)
        try bed.write(Peer.goAway(last: 1))
        #expect(bed.send(second) == false, "not a byte of it was written")
        second.connection = nil
        bed.lease(second)
        #expect(second.connection == nil && bed.opening == 1)
        try bed.accept(1)
        #expect(first.answer?.status == 202 && !bed.channels[0].isActive)
        try bed.open()
        #expect(second.connection != nil && bed.send(second) == true)
    }

    @Test func `skills' limits count messages, however connections end`() throws {
        let bed = try Bed(breaksCircuit: false)
        for round in 0..<50 {
            let messages = (0..<3).map { _ in Message(skill: 1) }
            for message in messages { bed.lease(message) }
            if messages[0].connection == nil { try bed.open(nil) }
            if messages[0].connection == nil { try bed.write(Peer.settings(), on: bed.channels.count - 1) }
            #expect(messages.allSatisfy { $0.connection != nil }, "round \(round)")
            _ = bed.send(messages[0])
            messages[1].connection?.release(by: messages[1])
            bed.loop.run()
            try bed.channels[bed.channels.count - 1].close().wait()
            #expect(messages[0].failure == .connectionLost && bed.send(messages[2]) == false)
        }
        #expect(bed.pool.status.skillLimits.isEmpty && bed.pool.status.connections.leased == 0)
    }

    @Test func `a front that takes connections and no messages opens the circuit soon`() throws {
        let bed = try Bed()
        let message = Message()
        bed.lease(message)
        var connections = 0
        while bed.opening > 0 && connections < 100 {
            connections += 1
            try bed.open(Peer.settings() + Peer.goAway(last: 0))
            if message.connection != nil, bed.send(message) == false {
                message.connection = nil
                bed.lease(message)
            }
        }
        #expect(connections < 25 && bed.pool.status.circuit == .open, "\(connections)")
    }

    @Test func `a second connection that cannot be had is no failure of a region that answers`() throws {
        let bed = try Bed()
        let messages = (0..<2).map { _ in Message() }
        for message in messages { bed.lease(message) }
        try bed.open()
        for message in messages { _ = bed.send(message) }
        bed.failOpening()
        for _ in 0..<100 {
            bed.pass(.milliseconds(100))
            if bed.opening > 0 { bed.failOpening() }
            try bed.write(Peer.ping(1))
        }
        #expect(bed.pool.status.circuit == .closed && bed.opening == 0 && bed.failures < 10, "\(bed.failures)")
    }

    @Test func `one connection that is lost is one failure, whatever was on it`() throws {
        let bed = try Bed(HTTP2Use(streamsPerConnection: 32))
        let messages = (0..<20).map { _ in Message() }
        for message in messages { bed.lease(message) }
        try bed.open()
        for message in messages { #expect(bed.send(message) == true) }
        bed.loop.run()
        try bed.channels[0].close().wait()
        #expect(messages.allSatisfy { $0.failure == .connectionLost } && bed.pool.status.circuit == .closed)
    }

    @Test func `a peer that asks without end and reads nothing is given up`() throws {
        let bed = try Bed()
        let message = Message()
        bed.lease(message)
        try bed.open()
        try bed.read()
        bed.channels[0].isWritable = false
        var pings = ByteBuffer()
        for number in 0..<1_000 as Range<UInt64> { pings.writeImmutableBuffer(Peer.ping(number)) }
        var rounds = 0
        while bed.channels[0].isActive && rounds < 2_000 {
            rounds += 1
            try bed.write(pings)
        }
        #expect(!bed.channels[0].isActive && rounds > 2)
        let patient = try Bed()
        patient.lease(message)
        try patient.open()
        try patient.read()
        patient.channels[0].isWritable = false
        try patient.write(pings)
        #expect(try patient.read() == 0)
        patient.channels[0].isWritable = true
        patient.channels[0].pipeline.fireChannelWritabilityChanged()
        #expect(try patient.read() == 1 && patient.peers[0].pingsAcknowledged.count == 1_000)
    }

    @Test func `after shutting down nothing is left`() throws {
        let bed = try Bed()
        let message = Message()
        bed.lease(message)
        try bed.open()
        _ = bed.send(message)
        bed.loop.run()
        bed.pool.shutDown()
        try bed.read()
        #expect(message.failure == .connectionLost && bed.peers[0].goneAway?.code == 0 && !bed.channels[0].isActive)
    }
}
