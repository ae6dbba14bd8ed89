import GatewayCore
import NIOCore
import TransportSecurity

/// Opens connections of one event loop to one region: TCP, the tunnel if there is a proxy, TLS if the endpoint uses it.
struct UpstreamConnector {
    private let endpoint: APIEndpoint
    private let proxy: ForwardProxy?
    private let connector: ClientConnector

    init(endpoint: APIEndpoint, proxy: ForwardProxy?, tls: ClientTLS, eventLoop: any EventLoop) {
        self.endpoint = endpoint
        self.proxy = proxy
        connector = ClientConnector(tls: endpoint.isSecure ? tls : nil, eventLoop: eventLoop)
    }

    /// - Parameters:
    ///   - handler: added last to the pipeline.
    ///   - failed: called on the event loop if TCP cannot connect, or the proxy opens no tunnel; later failures go to `handler`.
    func connect(_ handler: some ChannelHandler, _ timeout: TimeAmount, failed: @escaping (any Error) -> Void) {
        connector.connect(
            to: (proxy?.host ?? endpoint.host, proxy?.port ?? endpoint.port), verifying: endpoint.host, within: timeout,
            tunnel: proxy.map { proxy in { TunnelHandler.open(proxy, to: endpoint, on: $0, within: timeout) } },
            handler: handler, failed: failed)
    }
}
