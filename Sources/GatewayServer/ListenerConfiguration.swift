public import GatewayCore

/// How connections from clients are taken and for how long they may do nothing.
public struct ListenerConfiguration: Equatable, Sendable {
    public enum Address: Equatable, Sendable {
        /// Port 0: any free one.
        case tcp(host: String, port: Int)
        case unix(path: String, access: UnixSocketAccess)
    }

    /// Files of a listener that speaks TLS.
    public struct TLS: Equatable, Sendable {
        /// PEM, the listener's own certificate first.
        public var certificateChainFile: String
        /// PEM.
        public var privateKeyFile: String
        /// PEM: who may sign the certificates of clients. Nil: clients are not asked for any.
        public var clientCAFile: String?
        /// Whether a client without a certificate is turned away in the handshake.
        public var requiresClientCertificate = true

        public init(certificateChainFile: String, privateKeyFile: String, clientCAFile: String? = nil) {
            self.certificateChainFile = certificateChainFile
            self.privateKeyFile = privateKeyFile
            self.clientCAFile = clientCAFile
        }
    }

    public var address: Address
    /// Nil: plain text.
    public var tls: TLS?
    public var limits = RequestAssembler.Limits()
    /// For a head to arrive, from its first byte on; for the first byte of a connection; and for a TLS handshake.
    public var headTimeout = Duration.seconds(5)
    /// For the content to arrive, from the end of the head on.
    public var contentTimeout = Duration.seconds(10)
    /// Between two requests.
    public var idleTimeout = Duration.seconds(75)
    /// For answers to be read: a connection that takes none for so long is closed.
    public var writeTimeout = Duration.seconds(10)
    /// Above it no further connection is accepted; those that come wait in the backlog.
    public var maximumConnections = 20_000
    /// Those of one address (with IPv6, of one network of 64 bits) above it are closed as they come. Nil: half of all.
    public var maximumConnectionsPerAddress: Int?

    public init(_ address: Address) {
        self.address = address
    }
}

extension ListenerConfiguration.Address: CustomStringConvertible {
    public var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path, _): "unix:\(path)"
        }
    }

    /// The same with the port that was bound in place of 0.
    public func bound(to port: Int?) -> Self {
        guard case .tcp(let host, let configured) = self else { return self }
        return .tcp(host: host, port: port ?? configured)
    }
}

/// Who may connect to a Unix socket.
public struct UnixSocketAccess: Equatable, Sendable {
    /// File mode.
    public var mode: UInt32 = 0o660
    /// By name or number; nil: whoever runs the gateway.
    public var owner: String?
    public var group: String?

    public init() {}
}
