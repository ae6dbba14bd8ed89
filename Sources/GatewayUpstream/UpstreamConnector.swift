import GatewayCore
import NIOCore
import NIOPosix
import NIOSSL
import TLSFiles

/// Opens connections of one event loop to one region: TCP, the tunnel if there is a proxy, TLS if the endpoint uses it.
struct UpstreamConnector {
    let endpoint: APIEndpoint
    let proxy: ForwardProxy?
    let tls: ClientTLS
    let eventLoop: any EventLoop

    /// - Parameters:
    ///   - handler: added last to the pipeline.
    ///   - failed: called on the event loop if TCP cannot connect; later failures go to `handler`.
    func connect(_ handler: some ChannelHandler, _ timeout: TimeAmount, failed: @escaping (any Error) -> Void) {
        let bound = NIOLoopBound(handler, eventLoop: eventLoop)
        let (endpoint, proxy, context) = (endpoint, proxy, tls.context)
        ClientBootstrap(group: eventLoop)
            .connectTimeout(timeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let proxy { try pipeline.addHandler(TunnelHandler(proxy, to: endpoint)) }
                    if endpoint.isSecure {
                        // SNI carries names only (RFC 6066 section 3); an address is verified against the certificate.
                        let name = IPAddress.isAddress(endpoint.host) ? nil : endpoint.host
                        try pipeline.addHandler(NIOSSLClientHandler(context: context, serverHostname: name))
                    }
                    try pipeline.addHandler(bound.value)
                }
            }
            .connect(host: proxy?.host ?? endpoint.host, port: proxy?.port ?? endpoint.port)
            .assumeIsolated()
            .whenComplete { result in
                if case .failure(let error) = result { failed(error) }
            }
    }
}
