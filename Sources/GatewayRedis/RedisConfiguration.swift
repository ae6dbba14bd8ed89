/// Which Redis or Valkey keeps the records, and how patient the gateway is with it.
public struct RedisConfiguration: Equatable, Sendable {
    public struct Address: Hashable, Sendable, CustomStringConvertible {
        public var host: String
        public var port: Int

        public init(host: String, port: Int) {
            self.host = host
            self.port = port
        }

        public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }

    public struct Credentials: Equatable, Sendable {
        /// Nil: the server's default user.
        public var username: String?
        public var password: String

        public init(username: String? = nil, password: String) {
            self.username = username
            self.password = password
        }
    }

    public enum Topology: Equatable, Sendable {
        case standalone
        /// Redis Cluster; the addresses are of some of its nodes.
        case cluster
        /// The addresses are of Sentinels, which know the master by this name.
        case sentinel(master: String, Credentials?)
    }

    /// Paths of PEM files.
    public struct TLS: Equatable, Sendable {
        /// Trusted besides the system's authorities.
        public var caFile: String?
        public var certificateChainFile: String?
        public var privateKeyFile: String?

        public init() {}
    }

    public var addresses: [Address]
    public var topology = Topology.standalone
    public var credentials: Credentials?
    /// Nil: without TLS.
    public var tls: TLS?
    public var database = 0
    /// Two deployments with the same one share their records.
    public var keyPrefix = "skillgate"
    /// Replicas that have to confirm a write before it counts.
    public var waitReplicas = 0
    /// For the reply to one command.
    public var commandTimeout = Duration.milliseconds(100)
    /// For one step of a message, redirections and all; what is left of the 300 ms after one more command.
    public var stepTimeout = Duration.milliseconds(200)
    /// For name look-up, TCP, TLS and the first exchange.
    public var connectTimeout = Duration.milliseconds(500)

    public init(addresses: [Address]) {
        self.addresses = addresses
    }
}
