package import GatewayCore
package import NIOCore
import NIOPosix
import NIOSSL
import TransportSecurity

/// A listening socket whose connections are spread over the event loops, each with a forwarder of its own.
package struct HTTPListener: Sendable {
    private let channel: any Channel
    private let loops: [NIOLoopBound<ListenerLoop>]
    private let socketFile: UnixSocketFile?
    private let gate: ConnectionGate
    private let isInherited: Bool
    /// Nil for plain text.
    package let tls: ListenerTLS?

    /// Binds the socket and starts to accept.
    ///
    /// - Throws: `PEMFile.LoadingError`, `UnixSocketFile.BindingError` and `ListeningError`, each with a description of what failed.
    /// - Parameters:
    ///   - handlers: one for each event loop of `group`, bound to it.
    ///   - inherited: where sockets are found that the service manager has opened.
    ///   - onExhausted: told each time that a connection could not be accepted for want of descriptors or memory.
    ///   - onRefusedProxy: told of each connection that was closed because it did not come from a trusted proxy, or had no valid header.
    ///   - onRevoked: told of each connection that was closed because its client's certificate is revoked.
    package static func bind(
        _ configuration: ListenerConfiguration, handlers: [NIOLoopBound<any RequestHandler>],
        encoder: ResponseEncoder, group: any EventLoopGroup, inherited: InheritedSockets,
        onExhausted: @escaping @Sendable (any Error) -> Void = { _ in },
        onRefusedProxy: @escaping @Sendable (ProxyRefusal, SocketAddress?) -> Void = { _, _ in },
        onRevoked: @escaping @Sendable (Peer) -> Void = { _ in }
    ) async throws -> HTTPListener {
        let tls = try configuration.tls.map { try ListenerTLS($0, http2: configuration.http2) }
        let gate = ConnectionGate(
            limit: configuration.maximumConnections, perAddress: configuration.maximumConnectionsPerAddress)
        var loops: [NIOLoopBound<ListenerLoop>] = []
        var eventLoops: [any EventLoop] = []
        for handler in handlers {
            let eventLoop = handler.eventLoop
            let loop = try await eventLoop.submit {
                NIOLoopBound(
                    ListenerLoop(
                        eventLoop: eventLoop,
                        handler: PartialHandler.serving(Set(configuration.services), of: handler.value),
                        encoder: encoder,
                        configuration: configuration, tls: tls, gate: gate, onRefusedProxy: onRefusedProxy,
                        onRevoked: onRevoked),
                    eventLoop: eventLoop)
            }.get()
            loops.append(loop)
            eventLoops.append(eventLoop)
        }
        let loopsByEventLoop = Dictionary(
            uniqueKeysWithValues: zip(eventLoops.map { ObjectIdentifier($0) }, loops))
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPause(gate: gate, onExhausted: onExhausted))
                }
            }
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let loop = loopsByEventLoop[ObjectIdentifier(channel.eventLoop)] else {
                        throw ChannelError.operationUnsupported
                    }
                    guard !channel.isGone else { return channel.close(promise: nil) }
                    let pipeline = channel.pipeline.syncOperations
                    if let header = loop.value.proxyHeader() { try pipeline.addHandler(header) }
                    if let tls {
                        // What TLS writes is sent. Plain connections write by themselves.
                        try pipeline.addHandler(SocketWriteHandler(), position: .first)
                        let (context, authorities) = tls.handshake
                        try pipeline.addHandler(ProtocolCheck(spoken: tls.applicationProtocols))
                        try pipeline.addHandler(NIOSSLServerHandler(context: context))
                        return try pipeline.addHandler(
                            HTTPConnection(loop: loop.value, isSecure: true, trusting: authorities))
                    }
                    try pipeline.addHandler(HTTPConnection(loop: loop.value, isSecure: false))
                }
            }
        let (channel, socketFile) = try await bind(bootstrap, to: configuration.address, inherited)
        var isInherited = false
        if case .inherited = configuration.address { isInherited = true }
        return HTTPListener(
            channel: channel, loops: loops, socketFile: socketFile, gate: gate, isInherited: isInherited, tls: tls)
    }

    private static func bind(
        _ bootstrap: ServerBootstrap, to address: ListenerConfiguration.Address, _ inherited: InheritedSockets
    ) async throws -> (any Channel, UnixSocketFile?) {
        switch address {
        case .tcp(let host, let port):
            let bootstrap = bootstrap.childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            do {
                return (try await bootstrap.bind(host: host, port: port).get(), nil)
            } catch {
                throw ListeningError("\(host.contains(":") ? "[\(host)]" : host):\(port)", error)
            }
        case .inherited(let name):
            return (try await bootstrap.withBoundSocket(try inherited.take(name)).get(), nil)
        case .unix(let path, let access):
            try UnixSocketFile.checkIsFree(path)
            let channel =
                try await bootstrap
                .bind(unixDomainSocketPath: UnixSocketFile.temporaryPath(for: path)).get()
            do {
                return (channel, try UnixSocketFile(path: path, access: access))
            } catch {
                try? await channel.close().get()
                throw error
            }
        }
    }

    /// Whether nobody can connect from another machine.
    package var isLocal: Bool {
        guard let address = channel.localAddress else { return false }
        return switch address {
        case .unixDomainSocket: true
        case .v4, .v6: address.ipAddress.map { APIEndpoint.isLoopback(host: $0) } ?? false
        }
    }

    /// What `trustedProxies` has to name instead, if it names proxies that cannot connect; nil: it is right.
    package func expectedProxies(_ proxies: [TrustedProxies.Member]) -> String? {
        let isUnixSocket = port == nil
        guard proxies.contains(where: { ($0 == .unixSockets) != isUnixSocket }) else { return nil }
        return isUnixSocket ? "`unix:`" : "networks"
    }

    /// Nil for a Unix socket.
    package var port: Int? { channel.localAddress?.port }

    /// Of all event loops.
    package func statistics() async throws -> ListenerStatistics {
        var sum = ListenerStatistics()
        sum.turnedAway = gate.turnedAway
        for loop in loops { sum.add(try await loop.eventLoop.submit { loop.value.currentStatistics() }.get()) }
        return sum
    }

    /// From here on clients learn that their connections end, by `Connection: close` or `GOAWAY`; connections are still accepted.
    ///
    /// On a socket that the service manager has opened, they are left to the next process that has it.
    package func startDraining() async throws {
        if isInherited { try await stopAccepting() }
        for loop in loops {
            try await loop.eventLoop.submit { loop.value.startDraining() }.get()
        }
    }

    /// Closes the socket. What was accepted before is served: it may be on its way to its event loop, where it would be closed with it.
    private func stopAccepting() async throws {
        try await channel.setOption(.autoRead, value: false).get()
        for eventLoop in [channel.eventLoop] + loops.map(\.eventLoop) + [channel.eventLoop] {
            try await eventLoop.submit {}.get()
        }
        try await channel.close().get()
    }

    /// Closes every connection that is left, so that `finish` returns.
    package func abort() async throws {
        for loop in loops {
            try await loop.eventLoop.submit { loop.value.abort() }.get()
        }
    }

    /// Stops accepting and returns when the last message has been answered.
    package func finish() async throws {
        socketFile?.remove()
        if !isInherited { try await stopAccepting() }
        // All of them before any is waited for.
        for loop in loops { try await loop.eventLoop.submit { loop.value.drain() }.get() }
        for loop in loops { try await loop.eventLoop.flatSubmit { loop.value.whenAllAreGone() }.get() }
    }
}

extension Channel {
    /// The client has disconnected, so that its address is unknown; what it sent would count as coming from this machine.
    fileprivate var isGone: Bool {
        if case .unixDomainSocket = localAddress { return false }
        return remoteAddress == nil
    }
}
