import Foundation
import GatewayCore
import NIOCore
import NIOPosix
import Testing

@testable import GatewayServer

/// Connections on real sockets, whose clients read nothing before they are told to.
@Suite struct UnreadAnswersTests {
    private static let requests = 200
    private static let answer = String(repeating: "x", count: 60_000) + "end."

    private final class Bed {
        let handler = ScriptedHandler()
        let listener: ListenerLoop

        init(_ eventLoop: any EventLoop) {
            handler.content = UnreadAnswersTests.answer
            listener = ListenerLoop(
                eventLoop: eventLoop, handler: handler, encoder: ResponseEncoder(endpoints: ByRegion { .official($0) }),
                configuration: ListenerConfiguration(.tcp(host: "127.0.0.1", port: 0)), tls: nil,
                gate: ConnectionGate(limit: 100, perAddress: nil))
        }
    }

    /// Gathers what comes until the server has nothing more to say.
    private final class Client: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private var received = ByteBuffer()
        private let whole: EventLoopPromise<ByteBuffer>

        init(_ whole: EventLoopPromise<ByteBuffer>) { self.whole = whole }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received.writeImmutableBuffer(unwrapInboundIn(data))
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if event as? ChannelEvent == .inputClosed { context.close(promise: nil) }
        }

        func channelInactive(context: ChannelHandlerContext) { whole.succeed(received) }
    }

    private enum Ending: CaseIterable { case serverDrains, clientHasSentAll }

    @Test(arguments: Ending.allCases)
    private func `a connection that ends lets its client read what has been answered`(ending: Ending) async throws {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let bed = try await eventLoop.submit { NIOLoopBound(Bed(eventLoop), eventLoop: eventLoop) }.get()
        let whole = eventLoop.makePromise(of: ByteBuffer.self)
        let accepted = eventLoop.makePromise(of: (any Channel).self)
        let listener = try await ServerBootstrap(group: eventLoop)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                accepted.succeed(channel)
                return channel.eventLoop.makeCompletedFuture {
                    let connection = HTTPConnection(loop: bed.value.listener, isSecure: false)
                    try channel.pipeline.syncOperations.addHandler(connection)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let client = try await ClientBootstrap(group: eventLoop)
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Client(whole))
                }
            }
            .connect(to: try #require(listener.localAddress)).get()
        let server = try await accepted.futureResult.get()
        try await listener.close().get()

        let request = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
        try await client.writeAndFlush(ByteBuffer(string: String(repeating: request, count: Self.requests)))
        while server.isWritable { try await eventLoop.submit {}.get() }
        switch ending {
        case .serverDrains:
            try await eventLoop.submit {
                bed.value.listener.startDraining()
                bed.value.listener.drain()
            }.get()
        case .clientHasSentAll: try await client.close(mode: .output)
        }
        try await client.setOption(.autoRead, value: true).get()

        let read = String(buffer: try await whole.futureResult.get())
        let taken = try await eventLoop.submit { bed.value.handler.paths.count }.get()
        #expect(taken > 0 && taken < Self.requests)
        #expect(read.components(separatedBy: "HTTP/1.1 200 OK").count - 1 == taken)
        #expect(read.components(separatedBy: Self.answer).count - 1 == taken)
    }
}
