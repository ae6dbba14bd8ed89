import GatewayCore
import NIOCore
import NIOPosix
import TransportSecurity

/// Opens connections of one event loop to one region: TCP, the tunnel if there is a proxy, TLS if the endpoint uses it.
struct UpstreamConnector {
    private let endpoint: APIEndpoint
    private let proxy: ForwardProxy?
    /// Of the proxy, if there is one.
    private let addresses: NIOLoopBoundBox<HostAddresses>
    private let connector: ClientConnector

    init(
        endpoint: APIEndpoint, proxy: ForwardProxy?, addresses: NIOLoopBoundBox<HostAddresses>, tls: ClientTLS,
        eventLoop: any EventLoop
    ) {
        self.endpoint = endpoint
        self.proxy = proxy
        self.addresses = addresses
        connector = ClientConnector(tls: endpoint.isSecure ? tls : nil, eventLoop: eventLoop)
    }

    /// - Parameters:
    ///   - handler: added last to the pipeline.
    ///   - failed: called on the event loop if TCP cannot connect, or the proxy opens no tunnel; later failures go to `handler`.
    func connect(_ handler: some ChannelHandler, _ timeout: TimeAmount, failed: @escaping (any Error) -> Void) {
        connector.connect(
            to: (proxy?.host ?? endpoint.host, proxy?.port ?? endpoint.port), verifying: endpoint.host, within: timeout,
            tunnel: proxy.map { proxy in { TunnelHandler.open(proxy, to: endpoint, on: $0, within: timeout) } },
            handler: handler,
            options: { $0.resolver(OrderedResolver(addresses, on: connector.eventLoop)) },
            failed: failed)
    }
}
