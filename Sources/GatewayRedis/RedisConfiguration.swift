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

    /// How many replicas have to confirm a write before it counts.
    public enum Replicas: Equatable, Sendable, ExpressibleByIntegerLiteral {
        case count(Int)
        /// Every one that can become the master: as the Sentinels or the cluster say, and of a single server as many as it has
        /// had at a time.
        case all

        public init(integerLiteral value: Int) { self = .count(value) }
    }

    /// What is done once the store has lost its records.
    public enum WhenWiped: String, CaseIterable, Sendable {
        /// Nothing is sent under a key that the store does not know, until whatever it has forgotten would have expired.
        case hold
        /// Messages are sent on; those that were sent before may be sent again.
        case serve
    }

    public var addresses: [Address]
    public var topology = Topology.standalone
    public var credentials: Credentials?
    /// Nil: without TLS.
    public var tls: TLS?
    public var database = 0
    /// Two deployments with the same one share their records.
    public var keyPrefix = "skillgate"
    public var waitReplicas = Replicas.count(0)
    public var onStoreWiped = WhenWiped.serve
    /// How long records live, and so for how long a loss of them matters.
    public var retention = Duration.seconds(86_400)
    /// For the reply to one command. Above the least time after which TCP sends again what was lost (200 ms on Linux).
    public var commandTimeout = Duration.milliseconds(300)
    /// For one step of a message, redirections and all; one more command fits in behind it.
    public var stepTimeout = Duration.milliseconds(600)
    /// For name look-up, TCP, TLS and the first exchange.
    public var connectTimeout = Duration.milliseconds(500)

    public init(addresses: [Address]) {
        self.addresses = addresses
    }
}
