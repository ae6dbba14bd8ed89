package import GatewayCore

/// How connections from clients are taken and for how long they may do nothing.
package struct ListenerConfiguration: Equatable, Sendable {
    package enum Address: Equatable, Sendable {
        /// Port 0: any free one.
        case tcp(host: String, port: Int)
        case unix(path: String, access: UnixSocketAccess)
        /// A socket that the service manager has opened.
        case inherited(name: String)
    }

    /// Files of a listener that speaks TLS.
    package struct TLS: Equatable, Sendable {
        /// PEM, the listener's own certificate first.
        package var certificateChainFile: String
        /// PEM.
        package var privateKeyFile: String
        /// PEM: who may sign the certificates of clients. Nil: clients are not asked for any.
        package var clientCAFile: String?
        /// PEM: certificates that these authorities have taken back. Nil: none.
        package var clientCRLFile: String?
        /// Whether a client without a certificate is turned away in the handshake.
        package var requiresClientCertificate = true

        package init(certificateChainFile: String, privateKeyFile: String, clientCAFile: String? = nil) {
            self.certificateChainFile = certificateChainFile
            self.privateKeyFile = privateKeyFile
            self.clientCAFile = clientCAFile
        }
    }

    /// Whether connections begin with the header of the PROXY protocol.
    package enum ProxyProtocol: String, CaseIterable, Sendable {
        case off
        /// Each does, and comes from one of `trustedProxies`.
        case required
    }

    package var address: Address
    package var services = ListenerService.allCases
    /// Nil: plain text.
    package var tls: TLS?
    package var limits = RequestDecoder.Limits()
    /// Whether HTTP/2 is spoken, too: over TLS where it is agreed on (ALPN), else by prior knowledge.
    package var http2 = true
    /// Requests that one connection over HTTP/2 may have at once.
    package var streamsPerConnection = 100
    /// Whom to believe when they tell whom they speak for. Empty: nobody.
    package var trustedProxies: [TrustedProxies.Member] = []
    package var proxyProtocol = ProxyProtocol.off
    /// For a head to arrive, from its first byte on; for the first byte of a connection; and for a TLS handshake.
    var headTimeout = Duration.seconds(5)
    /// For the content to arrive, from the end of the head on.
    var contentTimeout = Duration.seconds(10)
    /// Between two requests.
    package var idleTimeout = Duration.seconds(75)
    /// For answers to be read: a connection that takes none for so long is closed.
    package var writeTimeout = Duration.seconds(10)
    /// Above it no further connection is accepted; those that come wait in the backlog.
    package var maximumConnections = 20_000
    /// Those of one address (with IPv6, of one network of 64 bits) above it are closed as they come. Nil: half of all.
    package var maximumConnectionsPerAddress: Int?

    package init(_ address: Address) {
        self.address = address
    }

    var http2Limits: HTTP2ServerState.Limits? {
        http2 ? HTTP2ServerState.Limits(requests: limits, streams: streamsPerConnection) : nil
    }
}

extension ListenerConfiguration.Address: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path, _): "unix:\(path)"
        case .inherited(let name): "systemd:\(name)"
        }
    }

    /// The same with the port that was bound in place of 0.
    package func bound(to port: Int?) -> Self {
        guard case .tcp(let host, let configured) = self else { return self }
        return .tcp(host: host, port: port ?? configured)
    }
}

/// Who may connect to a Unix socket.
package struct UnixSocketAccess: Equatable, Sendable {
    /// File mode.
    package var mode: UInt32 = 0o660
    /// By name or number; nil: whoever runs the gateway.
    package var owner: String?
    package var group: String?

    package init() {}
}
