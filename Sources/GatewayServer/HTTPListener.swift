public import GatewayCore
public import NIOCore
public import NIOPosix

/// A listening socket whose connections are spread over the event loops, each with a forwarder of its own.
public struct HTTPListener: Sendable {
    private let channel: any Channel
    private let loops: [NIOLoopBound<ListenerLoop>]

    /// Binds the socket and starts to accept.
    ///
    /// - Parameter forwarders: one for each event loop of `group`, bound to it.
    public static func bind(
        _ configuration: ListenerConfiguration, forwarders: [NIOLoopBound<MessageForwarder>],
        encoder: AnswerEncoder, group: MultiThreadedEventLoopGroup
    ) async throws -> HTTPListener {
        let gate = ConnectionGate(limit: configuration.maximumConnections)
        var loops: [NIOLoopBound<ListenerLoop>] = []
        var eventLoops: [any EventLoop] = []
        for forwarder in forwarders {
            let eventLoop = forwarder.eventLoop
            let loop = try await eventLoop.submit {
                NIOLoopBound(
                    ListenerLoop(
                        eventLoop: eventLoop, forwarder: forwarder.value, encoder: encoder,
                        configuration: configuration, gate: gate),
                    eventLoop: eventLoop)
            }.get()
            loops.append(loop)
            eventLoops.append(eventLoop)
        }
        let loopsByEventLoop = Dictionary(
            uniqueKeysWithValues: zip(eventLoops.map { ObjectIdentifier($0) }, loops))
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPause(gate: gate))
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let loop = loopsByEventLoop[ObjectIdentifier(channel.eventLoop)] else {
                        throw ChannelError.operationUnsupported
                    }
                    try channel.pipeline.syncOperations.addHandler(HTTPConnection(loop: loop.value))
                }
            }
            .bind(host: configuration.host, port: configuration.port)
            .get()
        return HTTPListener(channel: channel, loops: loops)
    }

    public var port: Int? { channel.localAddress?.port }

    /// From here on every answer says `Connection: close`; connections are still accepted.
    public func startDraining() async throws {
        for loop in loops {
            try await loop.eventLoop.submit { loop.value.startDraining() }.get()
        }
    }

    /// Closes every connection that is left, so that `finish` returns.
    public func abort() async throws {
        for loop in loops {
            try await loop.eventLoop.submit { loop.value.abort() }.get()
        }
    }

    /// Stops accepting and returns when the last message has been answered.
    public func finish() async throws {
        try await channel.close().get()
        for loop in loops {
            try await loop.eventLoop.flatSubmit { loop.value.finish() }.get()
        }
    }
}
