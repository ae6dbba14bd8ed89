import GatewayCore
import NIOCore
import NIOEmbedded
import Testing

@testable import GatewayUpstream

/// The pool of a region, its connections and its probes on testing channels: time stands until the test moves it.
@Suite struct RegionalPoolTests {
    /// Connections as the test opens them.
    private final class Bed {
        /// Those that were asked for and have not been opened.
        private final class Openings {
            var waiting: [any ChannelHandler] = []
        }

        let loop = EmbeddedEventLoop()
        let pool: RegionalPool
        let addresses: NIOLoopBoundBox<HostAddresses>
        private let openings = Openings()
        var opening: Int { openings.waiting.count }
        private(set) var channels: [EmbeddedChannel] = []
        private(set) var handlers: [any ChannelHandler] = []

        init(isSecure: Bool = false, _ change: (inout RegionConfiguration) -> Void = { _ in }) throws {
            var configuration = RegionConfiguration()
            configuration.http2 = HTTP2Use(.off)
            change(&configuration)
            addresses = NIOLoopBoundBox(HostAddresses(), eventLoop: loop)
            pool = RegionalPool(
                to: try APIEndpoint(parsing: "http\(isSecure ? "s" : "")://127.0.0.1:1/na"), isBehindProxy: false,
                addresses: addresses, userAgent: "test",
                configuration: configuration, eventLoop: loop, onConnectFailure: { _ in }, onCircuitChange: { _ in }
            ) { [openings] handler, _, _ in openings.waiting.append(handler) }
        }

        /// Opens what was asked for first.
        func open() throws {
            let channel = EmbeddedChannel(loop: loop)
            channels.append(channel)
            handlers.append(openings.waiting.removeFirst())
            try channel.pipeline.syncOperations.addHandler(handlers[handlers.count - 1])
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        }

        /// What was asked for first cannot be opened.
        func failOpening() {
            (openings.waiting.removeFirst() as? ConnectingHandler)?.failed(ChannelError.ioOnClosedChannel)
        }

        /// TCP is there for what was asked for first, and TLS is not.
        @discardableResult func beginHandshake(at address: SocketAddress) throws -> EmbeddedChannel {
            let channel = EmbeddedChannel(loop: loop)
            channels.append(channel)
            try channel.connect(to: address).wait()
            try channel.pipeline.syncOperations.addHandler(openings.waiting.removeFirst())
            return channel
        }

        func failHandshake(at address: SocketAddress) throws {
            try beginHandshake(at: address).pipeline.fireErrorCaught(ChannelError.ioOnClosedChannel)
        }

        func lease(_ message: Message) {
            if let result = pool.lease(for: message) { message.upstreamLeased(result) }
        }

        /// Sends a message on a connection, which is opened if there is none.
        func send(skill: Int = 0) throws -> Message {
            let message = Message(skill: skill)
            lease(message)
            if message.connection == nil && opening > 0 { try open() }
            if let connection = message.connection {
                #expect(
                    connection.send(SampleRequest.any, limit: loop.now + .seconds(10), receiver: message)
                )
            }
            return message
        }

        func pass(_ time: TimeAmount) { loop.advanceTime(by: time) }
    }

    private static func answer(_ status: Int) -> ByteBuffer {
        ByteBuffer(string: "HTTP/1.1 \(status) X\r\nContent-Length: 0\r\n\r\n")
    }

    @Test func `a connection carries one message after another`() throws {
        let bed = try Bed()
        let first = try bed.send()
        try bed.channels[0].writeInbound(Self.answer(202))
        #expect(first.answer?.status == 202)
        let second = try bed.send()
        try bed.channels[0].writeInbound(Self.answer(404))
        #expect(second.answer?.status == 404)
        #expect(bed.channels.count == 1)
    }

    @Test(arguments: ["Connection: foo, close\r\n", "Connection: keep-alive\r\nConnection: close\r\n"])
    func `a connection that is to be closed is not used again`(fields: String) throws {
        let bed = try Bed()
        let message = try bed.send()
        try bed.channels[0].writeInbound(ByteBuffer(string: "HTTP/1.1 202 A\r\n\(fields)Content-Length: 0\r\n\r\n"))
        #expect(message.answer?.status == 202)
        #expect(!bed.channels[0].isActive)
    }

    @Test func `a status that has come is known, though the connection is lost or the deadline passes`() throws {
        for isLost in [true, false] {
            let bed = try Bed()
            let message = try bed.send()
            try bed.channels[0].writeInbound(ByteBuffer(string: "HTTP/1.1 400 Bad\r\nContent-Length: 9\r\n\r\nabc"))
            if isLost { bed.channels[0].pipeline.fireChannelInactive() } else { bed.pass(.seconds(11)) }
            #expect(message.answer == UpstreamResponse(status: 400, content: ByteBuffer(string: "abc")))
            #expect(message.failure == nil)
        }
    }

    @Test func `without a status the outcome is unknown`() throws {
        let bed = try Bed()
        let message = try bed.send()
        try bed.channels[0].writeInbound(ByteBuffer(string: "HTTP/1.1 202 A\r\nContent-Le"))
        bed.pass(.seconds(11))
        #expect(message.failure == .timeout && message.answer == nil)
    }

    @Test func `bytes that nobody asked for end a connection`() throws {
        let bed = try Bed()
        _ = try bed.send()
        try bed.channels[0].writeInbound(Self.answer(202))
        _ = try? bed.channels[0].writeInbound(Self.answer(202))
        #expect(!bed.channels[0].isActive)
    }

    @Test func `one skill's 429s hold back that skill alone`() throws {
        let bed = try Bed()
        for _ in 0..<10 {
            let message = try bed.send(skill: 1)
            try bed.channels[0].writeInbound(Self.answer(429))
            #expect(message.answer?.status == 429)
        }
        #expect(bed.pool.status.inFlightLimit == 256)
        var connected = [0, 0]
        for skill in [0, 1] {
            for _ in 0..<20 where try bed.send(skill: skill).connection != nil { connected[skill] += 1 }
        }
        #expect(connected == [20, 4])
        // One that waits goes on when one of its skill is answered, and fails when its time is up.
        let (waiting, late) = (Message(skill: 1), Message(skill: 1))
        bed.lease(waiting)
        bed.lease(late)
        bed.pass(.milliseconds(300))
        #expect(waiting.unavailable == .skillThrottled && late.unavailable == .skillThrottled)
    }

    @Test func `a region that neither answers messages nor probes stays closed to messages`() throws {
        let bed = try Bed()
        for number in 0..<5 {
            _ = try bed.send()
            bed.channels[number].pipeline.fireChannelInactive()
        }
        #expect(bed.pool.status.circuit == .open)
        let refused = Message()
        bed.lease(refused)
        guard case .circuitOpen = refused.unavailable else { return #expect(Bool(false), "the circuit is open") }
        // The first probe connects, and gets no answer.
        bed.pass(.milliseconds(1100))
        #expect(bed.opening == 1 && bed.pool.status.circuit == .halfOpen)
        try bed.open()
        #expect(bed.pool.status.circuit == .halfOpen)
        let probe = try bed.channels[5].readOutbound(as: ByteBuffer.self).map { String(buffer: $0) }
        #expect(probe?.hasPrefix("GET /na/ HTTP/1.1\r\nHost: 127.0.0.1:1\r\n") == true)
        bed.pass(.seconds(5))
        #expect(bed.pool.status.circuit == .halfOpen || bed.pool.status.circuit == .open)
        // The next one does.
        while bed.opening == 0 { bed.pass(.seconds(1)) }
        try bed.open()
        try bed.channels[6].writeInbound(ByteBuffer(string: "HTTP/1.1 503 Unavailable\r\nContent-Length: 5\r\n\r\n"))
        #expect(bed.pool.status.circuit == .closed)
        #expect(bed.pool.status.inFlightLimit == 4)
        let message = try bed.send()
        try bed.channels[7].writeInbound(Self.answer(202))
        #expect(message.answer?.status == 202)
    }

    @Test func `a message that waits too long is told for what`() throws {
        let busy = try Bed { $0.pool.maximumConnections = 1 }
        _ = try busy.send()
        let second = Message()
        busy.lease(second)
        busy.pass(.milliseconds(300))
        #expect(second.unavailable == .noFreeConnection)
        let cold = try Bed()
        let first = Message()
        cold.lease(first)
        cold.pass(.seconds(5))
        #expect(first.unavailable == .connectTimeout)
    }

    @Test func `a message whose connection failed gets one more, and then is refused`() throws {
        let bed = try Bed()
        let message = Message()
        bed.lease(message)
        bed.failOpening()
        #expect(message.unavailable == nil && bed.opening == 1)
        bed.failOpening()
        #expect(message.unavailable == .connectionRefused && bed.opening == 0)
        let second = Message()
        bed.lease(second)
        bed.failOpening()
        try bed.open()
        #expect(second.connection != nil)
    }

    @Test func `all who wait get one more connection, and a burst that is reset is one failure`() throws {
        let bed = try Bed()
        let messages = (0..<10).map { _ in Message() }
        for message in messages { bed.lease(message) }
        for _ in 0..<10 { bed.failOpening() }
        #expect(messages.allSatisfy { $0.unavailable == nil } && bed.opening == 10)
        for _ in 0..<10 { try bed.open() }
        #expect(messages.allSatisfy { $0.connection != nil } && bed.pool.status.circuit == .closed)
    }

    @Test func `all who wait have the time of another handshake`() throws {
        let bed = try Bed(isSecure: true)
        let hosts = try (1...2).map { try SocketAddress(ipAddress: "127.0.0.\($0)", port: 1) }
        _ = bed.addresses.value.resolved(([], hosts), now: bed.loop.now)
        let messages = (0..<5).map { _ in Message() }
        for message in messages { bed.lease(message) }
        for _ in 0..<5 { try bed.beginHandshake(at: hosts[0]) }
        bed.pass(.milliseconds(3_900))
        #expect(messages.allSatisfy { $0.unavailable == nil })
    }

    @Test func `a region that refuses connections is found out by messages that do not wait for the second`() throws {
        let bed = try Bed()
        for number in 1...20 {
            let message = Message()
            message.deadline = bed.loop.now + .milliseconds(100)
            bed.lease(message)
            guard bed.opening > 0 else { break }
            bed.failOpening()
            bed.pass(.milliseconds(100))
            #expect(message.unavailable != nil && number < 12)
            // What was opened for it fails, too, with nobody left to wait.
            while bed.opening > 0 { bed.failOpening() }
        }
        #expect(bed.pool.status.circuit == .open)
    }

    @Test func `a handshake that fails at one address is tried at every other, and no region has failed for that`()
        throws
    {
        let bed = try Bed(isSecure: true) { $0.circuit.failuresInARow = 1 }
        let hosts = try (1...4).map { try SocketAddress(ipAddress: "127.0.0.\($0)", port: 1) }
        _ = bed.addresses.value.resolved(([], hosts), now: bed.loop.now)
        let message = Message()
        bed.lease(message)
        for host in hosts[..<3] {
            // TCP is there, and then the handshake is reset.
            try bed.failHandshake(at: host)
            #expect(message.unavailable == nil && bed.opening == 1 && bed.pool.status.circuit == .closed)
        }
        try bed.failHandshake(at: hosts[3])
        #expect(message.unavailable == .connectionRefused && bed.pool.status.circuit == .open)
    }

    @Test func `a handshake that never ends is given up in time for another one`() throws {
        let bed = try Bed(isSecure: true)
        let hosts = try (1...2).map { try SocketAddress(ipAddress: "127.0.0.\($0)", port: 1) }
        _ = bed.addresses.value.resolved(([], hosts), now: bed.loop.now)
        let message = Message()
        message.deadline = bed.loop.now + .seconds(4)
        bed.lease(message)
        try bed.beginHandshake(at: hosts[0])
        bed.pass(.milliseconds(2_000))
        #expect(message.unavailable == nil && bed.opening == 1)
        bed.pass(.milliseconds(1_900))
        #expect(message.unavailable == nil)
        // Its own deadline, before the second handshake has had its time.
        bed.pass(.milliseconds(100))
        #expect(message.unavailable == .connectTimeout)
    }

    @Test func `a message in a hurry leaves its connection to wait for the answer, and the connection is used again`()
        throws
    {
        let bed = try Bed()
        let message = Message()
        message.deadline = bed.loop.now + .milliseconds(120)
        bed.lease(message)
        try bed.open()
        _ = message.connection?.send(
            SampleRequest.any, limit: bed.loop.now + .seconds(10), receiver: message)
        bed.pass(.milliseconds(119))
        #expect(message.failure == nil)
        bed.pass(.milliseconds(1))
        #expect(message.failure == .timeout && message.late == nil && bed.channels[0].isActive)
        #expect(bed.pool.status.connections.leased == 1, "it is not free")
        try bed.channels[0].writeInbound(Self.answer(202))
        #expect(message.answer == nil && message.late??.status == 202)
        _ = try bed.send()
        #expect(bed.channels.count == 1)
    }

    @Test func `a message that knows its outcome is told only how its connection ended`() throws {
        for isAnswered in [true, false] {
            let bed = try Bed()
            let message = try bed.send()
            bed.pass(.milliseconds(350))
            #expect(message.timesStillAwaited == 3)
            message.connection?.stopAwaiting(message)
            bed.pass(.milliseconds(350))
            #expect(message.timesStillAwaited == 3 && bed.pool.status.connections.leased == 1, "it is not free")
            if isAnswered { try bed.channels[0].writeInbound(Self.answer(202)) } else { bed.pass(.seconds(10)) }
            #expect(message.answer == nil && message.failure == nil)
            #expect(message.late??.status == (isAnswered ? 202 : nil) && message.late != nil)
            #expect(bed.channels[0].isActive == isAnswered)
        }
    }

    @Test func `a message whose time and whose region's time end in one moment is told of both`() throws {
        let bed = try Bed()
        let message = Message()
        message.deadline = bed.loop.now + .milliseconds(9_999)
        bed.lease(message)
        try bed.open()
        _ = message.connection?.send(
            SampleRequest.any, limit: bed.loop.now + .milliseconds(10_000), receiver: message)
        // As after a pause of the process: the first look at the clock comes behind both.
        (message.connection as? HTTP1ChannelHandler)?.checkDeadline(now: bed.loop.now + .seconds(60))
        #expect(message.failure == .timeout && message.late == .some(nil) && !bed.channels[0].isActive)
    }

    @Test func `a region that answers nothing is found out by messages in a hurry, too, if later`() throws {
        let bed = try Bed { $0.circuit.failuresInARow = 3 }
        let messages = try (0..<3).map { _ in
            let message = Message()
            message.deadline = bed.loop.now + .milliseconds(100)
            bed.lease(message)
            try bed.open()
            _ = message.connection?.send(
                SampleRequest.any, limit: bed.loop.now + .seconds(10), receiver: message)
            return message
        }
        bed.pass(.seconds(9))
        #expect(messages.allSatisfy { $0.failure == .timeout } && bed.pool.status.circuit == .closed)
        bed.pass(.milliseconds(1_100))
        #expect(messages.allSatisfy { $0.late == .some(nil) } && bed.pool.status.circuit != .closed)
    }

    /// The turn of its skill comes with the very failure that opens the circuit.
    @Test func `a message whose skill's turn comes as the circuit opens is told of the circuit`() throws {
        let bed = try Bed { $0.circuit.failuresInARow = 1 }
        for _ in 0..<10 {
            _ = try bed.send(skill: 1)
            try bed.channels[0].writeInbound(Self.answer(429))
        }
        // One has the connection, three wait for handshakes, and the last for its skill, which is limited to four.
        let messages = (0..<5).map { _ in Message(skill: 1) }
        for message in messages { bed.lease(message) }
        #expect(messages[0].connection != nil && bed.opening == 3)
        for _ in 0..<4 { bed.failOpening() }
        #expect(messages[1].unavailable == .connectionRefused)
        for message in messages[2...] {
            guard case .circuitOpen = message.unavailable else {
                Issue.record("told \(String(describing: message.unavailable))")
                continue
            }
        }
        #expect(bed.opening == 2, "nothing more is opened")
    }

    @Test func `after shutting down nothing is opened`() throws {
        let bed = try Bed()
        let inFlight = try bed.send()
        bed.pool.shutDown()
        #expect(inFlight.failure == .connectionLost)
        let message = Message()
        bed.lease(message)
        #expect(message.unavailable == .connectionLost && bed.opening == 0)
    }
}
