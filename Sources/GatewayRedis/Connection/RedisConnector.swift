import GatewayCore
import NIOCore
import NIOPosix
import NIOSSL
import TLSFiles

/// Opens connections of one event loop.
struct RedisConnector {
    let configuration: RedisConfiguration
    let tls: ClientTLS?
    let clientName: String
    let eventLoop: any EventLoop

    /// The connection tells of itself by `onEvent`: once `ready` or not at all, and once `closed`.
    func connect(
        to address: RedisConfiguration.Address, as role: RedisHandshake.Role, after predecessor: RedisIdentity? = nil,
        onEvent: @escaping (RedisConnection.Event) -> Void
    ) -> RedisConnection {
        var credentials = configuration.credentials
        if role == .sentinel, case .sentinel(_, let own) = configuration.topology { credentials = own }
        let handshake = RedisHandshake(
            role, credentials: credentials, database: configuration.database, clientName: clientName,
            predecessor: predecessor)
        let connection = RedisConnection(
            configuration, handshake: handshake, isSecure: tls != nil, eventLoop: eventLoop, onEvent: onEvent)
        let timeout = TimeAmount(configuration.connectTimeout)
        // Covers TLS and the handshake, too; a connection that is ready by then does nothing.
        eventLoop.assumeIsolated().scheduleTask(in: timeout) { connection.connectTimedOut() }
        let bound = NIOLoopBound(connection, eventLoop: eventLoop)
        let context = tls?.context
        // A name is sent and checked; an address is checked only (RFC 6066 section 3 bars it).
        let name = IPAddress.isAddress(address.host) ? nil : address.host
        ClientBootstrap(group: eventLoop)
            .connectTimeout(timeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            // One read takes the replies to a whole burst.
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 16_384))
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let context {
                        try pipeline.addHandler(NIOSSLClientHandler(context: context, serverHostname: name))
                    }
                    try pipeline.addHandler(bound.value)
                }
            }
            .connect(host: address.host, port: address.port)
            .assumeIsolated()
            .whenComplete { result in
                if case .failure(let error) = result { connection.connectFailed(words(for: error)) }
            }
        return connection
    }
}
