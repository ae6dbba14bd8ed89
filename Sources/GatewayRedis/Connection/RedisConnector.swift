import GatewayCore
import NIOCore
import NIOPosix
import TransportSecurity

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
        ClientConnector(tls: tls, eventLoop: eventLoop).connect(
            to: (address.host, address.port), verifying: address.host, within: timeout, handler: connection,
            options: { bootstrap in
                // One read takes the replies to a whole burst.
                bootstrap.channelOption(.socketOption(.so_keepalive), value: 1)
                    .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 16_384))
            }, failed: { connection.connectFailed(words(for: $0)) })
        return connection
    }
}
