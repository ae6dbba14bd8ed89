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
    ///   - tunnel: speaks before TLS does.
    ///   - handler: added last to the pipeline.
    ///   - options: of the channel, besides those that every connection has.
    ///   - failed: called on the event loop if TCP cannot connect; later failures go to `handler`.
    package func connect(
        to dialled: (host: String, port: Int), verifying verified: String, within timeout: TimeAmount,
        tunnel: (any ChannelHandler)? = nil, handler: some ChannelHandler,
        options: (ClientBootstrap) -> ClientBootstrap = { $0 }, failed: @escaping (any Error) -> Void
    ) {
        let bound = NIOLoopBound((tunnel: tunnel, handler: handler), eventLoop: eventLoop)
        let context = tls?.context
        // SNI carries names only (RFC 6066 section 3); an address is verified against the certificate.
        let name = IPAddress.isAddress(verified) ? nil : verified
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(timeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let tunnel = bound.value.tunnel { try pipeline.addHandler(tunnel) }
                    if let context {
                        try pipeline.addHandler(NIOSSLClientHandler(context: context, serverHostname: name))
                    }
                    try pipeline.addHandler(bound.value.handler)
                }
            }
        options(bootstrap)
            .connect(host: dialled.host, port: dialled.port)
            .assumeIsolated()
            .whenComplete { result in
                if case .failure(let error) = result { failed(error) }
            }
    }
}
