import Foundation
import GatewayCore
import NIOCore
import NIOEmbedded

@testable import GatewayServer

/// Answers at once, or when the test says so.
final class ScriptedHandler: RequestHandler {
    var paths: [String] = []
    var peers: [Peer] = []
    var refused: [Problem] = []
    var refusesHeads = false
    var answersLater = false
    var content = "ok"
    private var recipients: [any ResponseRecipient] = []

    func handle(_ request: InboundRequest, from peer: Peer, to recipient: any ResponseRecipient) {
        paths.append(request.path)
        peers.append(peer)
        recipients.append(recipient)
        if !answersLater { answer() }
    }

    func answer() {
        guard !recipients.isEmpty else { return }
        recipients.removeFirst().answered(
            Response(.page(Page(contentType: "text/plain", content: ByteBuffer(string: content))), region: nil))
    }

    func refusal(beforeContentOf request: InboundRequest, from peer: Peer) -> Refusal? {
        refusesHeads ? Refusal(.notAuthenticated, "no") : nil
    }

    func refused(_ problem: Problem, _ id: ExchangeID, from peer: Peer) { refused.append(problem) }
}

/// One connection on a testing channel: time stands until the test moves it.
final class ConnectionBed {
    let handler = ScriptedHandler()
    let channel = EmbeddedChannel()
    let listener: ListenerLoop
    private var text = ""

    /// - Parameters:
    ///   - configure: changes the listener.
    init(
        gate: ConnectionGate = ConnectionGate(limit: 100, perAddress: nil), from address: String = "10.0.0.1",
        _ configure: (inout ListenerConfiguration) -> Void = { _ in }
    ) throws {
        var configuration = ListenerConfiguration(.tcp(host: "127.0.0.1", port: 0))
        configure(&configuration)
        listener = ListenerLoop(
            eventLoop: channel.embeddedEventLoop, handler: handler,
            encoder: ResponseEncoder(endpoints: ByRegion { .official($0) }),
            configuration: configuration, tls: nil, gate: gate)
        channel.remoteAddress = try SocketAddress(ipAddress: address, port: 1)
        if let header = listener.proxyHeader() { try channel.pipeline.syncOperations.addHandler(header) }
        try channel.pipeline.syncOperations.addHandler(HTTPConnection(loop: listener, isSecure: false))
        try channel.connect(to: SocketAddress(ipAddress: address, port: 1)).wait()
    }

    func receive(_ text: String) throws { try receive(ByteBuffer(string: text)) }

    func receive(_ bytes: ByteBuffer) throws {
        try channel.writeInbound(bytes)
        channel.embeddedEventLoop.run()
    }

    /// All that was sent so far.
    var sent: String {
        get throws {
            while let buffer = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: buffer) }
            return text
        }
    }

    var answers: Int { get throws { try sent.components(separatedBy: "HTTP/1.1 200 OK").count - 1 } }

    func setWritable(_ isWritable: Bool) {
        channel.isWritable = isWritable
        channel.pipeline.fireChannelWritabilityChanged()
        channel.embeddedEventLoop.run()
    }

    /// The client closes.
    func end() throws {
        try channel.close().wait()
        channel.embeddedEventLoop.run()
    }

    func pass(_ time: TimeAmount) { channel.embeddedEventLoop.advanceTime(by: time) }
}
