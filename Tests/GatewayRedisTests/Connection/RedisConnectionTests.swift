import NIOCore
import NIOEmbedded
import Testing

@testable import GatewayRedis

/// One connection on a testing channel: time stands until the test moves it, and the test is the server.
@Suite struct RedisConnectionTests {
    private final class Bed {
        let channel = EmbeddedChannel()
        let connection: RedisConnection
        private final class Events {
            var closed: [String] = []
            var isReady = false
            var epochs: [String?] = []
        }
        private let events = Events()
        private(set) var results: [Result<RESPValue, RedisFailure>] = []

        var closed: [String] { events.closed }
        var isReady: Bool { events.isReady }

        init(waitReplicas: Int = 0) throws {
            let configuration = RedisConfiguration(addresses: [.init(host: "h", port: 1)])
            let handshake = RedisHandshake(
                .clusterNode, credentials: nil, database: 0, clientName: "gw", predecessor: nil)
            connection = RedisConnection(
                configuration, handshake: handshake, isSecure: false, eventLoop: channel.embeddedEventLoop
            ) { [events] event in
                switch event {
                case .ready: events.isReady = true
                case .epochChanged(let found): events.epochs.append(found)
                case .closed(let reason, _): events.closed.append(reason)
                }
            }
            connection.waitReplicas = waitReplicas
            try channel.pipeline.syncOperations.addHandler(connection)
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
            for _ in 0..<4 where !isReady { try receive("%1\r\n$2\r\nid\r\n:7\r\n") }
            _ = try sent
        }

        func receive(_ text: String) throws {
            try channel.writeInbound(ByteBuffer(string: text))
            channel.embeddedEventLoop.run()
        }

        func send(_ words: [String]) {
            connection.send(RedisRequest(.plain(words))) { self.results.append($0) }
            channel.embeddedEventLoop.run()
        }

        var sent: String {
            get throws {
                var text = ""
                while let buffer = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: buffer) }
                return text
            }
        }
    }

    @Test func `replies go to commands in their order, wherever they are cut`() throws {
        let replies = Array("+one\r\n:2\r\n$5\r\nthree\r\n".utf8)
        for cut in 0...replies.count {
            let bed = try Bed()
            #expect(bed.isReady)
            for word in ["A", "B", "C"] { bed.send([word]) }
            try bed.receive(String(decoding: replies[..<cut], as: UTF8.self))
            try bed.receive(String(decoding: replies[cut...], as: UTF8.self))
            #expect(try bed.results.map { try $0.get().text } == ["one", nil, "three"])
        }
    }

    @Test func `a server that says nothing is taken to have stalled, and what was asked is undecided`() throws {
        let bed = try Bed()
        bed.send(["A"])
        bed.channel.embeddedEventLoop.advanceTime(by: .milliseconds(90))
        #expect(bed.results.isEmpty)
        bed.channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(bed.closed == ["no reply came in time"])
        guard case .failure(.undecided) = bed.results.first else { return #expect(Bool(false), "\(bed.results)") }
        bed.send(["B"])
        guard case .failure(.notSent) = bed.results.last else { return #expect(Bool(false), "\(bed.results)") }
    }

    @Test(arguments: ["HTTP/1.1 200 OK\r\n\r\n", "+one\r\n+nobody asked\r\n", "$99999999999\r\n", "*-2\r\n"])
    func `what is not the protocol ends the connection`(text: String) throws {
        let bed = try Bed()
        bed.send(["A"])
        try bed.receive(text)
        #expect(bed.closed.count == 1 && !bed.channel.isActive)
        #expect(bed.results.count == 1)
    }

    @Test func `commands without a reply are bounded`() throws {
        let bed = try Bed()
        for _ in 0..<20_000 { bed.connection.send(RedisRequest(.plain(["A"]))) { _ in } }
        bed.send(["B"])
        guard case .failure(.notSent) = bed.results.first else { return #expect(Bool(false), "\(bed.results)") }
    }
}
