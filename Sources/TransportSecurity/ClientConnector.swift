import GatewayCore
package import NIOCore
package import NIOPosix
import NIOSSL

/// Opens connections of one event loop: TCP, then TLS where there is any.
package struct ClientConnector {
    /// Nil: nothing is encrypted.
    package let tls: ClientTLS?
    package let eventLoop: any EventLoop

    package init(tls: ClientTLS?, eventLoop: any EventLoop) {
        self.tls = tls
        self.eventLoop = eventLoop
    }

    /// - Parameters:
    ///   - dialled: where TCP connects to.
    ///   - verified: whom the certificate has to be for; another one than `dialled` behind a proxy.
    ///   - tunnel: begins when TCP has connected; TLS begins when it has ended.
    ///   - handler: added last to the pipeline, once, when there is nothing left before it but TLS and the
    ///     `SocketWriteHandler`. TCP may race for several addresses; the handler sees the winner alone.
    ///   - options: of the channel, besides those that every connection has.
    ///   - failed: called on the event loop if there is no connection for `handler`; later failures go to `handler`.
    package func connect(
        to dialled: (host: String, port: Int), verifying verified: String, within timeout: TimeAmount,
        tunnel: ((any Channel) -> EventLoopFuture<Void>)? = nil, handler: some ChannelHandler,
        options: (ClientBootstrap) -> ClientBootstrap = { $0 }, failed: @escaping (any Error) -> Void
    ) {
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(timeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.maxMessagesPerRead, value: 1)
        options(bootstrap)
            .connect(host: dialled.host, port: dialled.port)
            .assumeIsolated()
            .flatMap { channel in (tunnel?(channel) ?? eventLoop.makeSucceededVoidFuture()).map { channel } }
            .whenComplete { result in
                do {
                    try add(handler, to: try result.get(), verifying: verified)
                } catch {
                    failed(error)
                }
            }
    }

    private func add(_ handler: some ChannelHandler, to channel: any Channel, verifying verified: String) throws {
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(SocketWriteHandler(), position: .first)
        try pipeline.addHandler(handler)
        guard let context = tls?.context else { return }
        // SNI carries names only (RFC 6066 section 3); an address is verified against the certificate.
        let name = IPAddress.isAddress(verified) ? nil : verified
        // Added behind the handler, which has to see how the handshake ends, and before it in the pipeline.
        try pipeline.addHandler(
            NIOSSLClientHandler(context: context, serverHostname: name), position: .before(handler))
    }
}
