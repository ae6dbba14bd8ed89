package import TransportSecurity

/// Which Redis or Valkey keeps the records, and how patient the gateway is with it.
package struct RedisConfiguration: Equatable, Sendable {
    package struct Address: Hashable, Sendable, CustomStringConvertible {
        package var host: String
        package var port: Int

        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }

        package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }

    package struct Credentials: Equatable, Sendable {
        /// Nil: the server's default user.
        package var username: String?
        package var password: String

        package init(username: String? = nil, password: String) {
            self.username = username
            self.password = password
        }
    }

    package enum Topology: Equatable, Sendable {
        case standalone
        /// Redis Cluster; the addresses are of some of its nodes.
        case cluster
        /// The addresses are of Sentinels, which know the master by this name.
        case sentinel(master: String, Credentials?)
    }

    /// Paths of PEM files.
    package struct TLS: Equatable, Sendable {
        /// Trusted besides the system's authorities.
        package var caFile: String?
        package var certificateChainFile: String?
        package var privateKeyFile: String?

        package init() {}
    }

    /// How many replicas have to confirm a write before it counts.
    package enum Replicas: Equatable, Sendable, ExpressibleByIntegerLiteral {
        case count(Int)
        /// Every one that can become the master: as the Sentinels or the cluster say, and of a single server as many as it has
        /// had at a time.
        case all

        package init(integerLiteral value: Int) { self = .count(value) }
    }

    /// What is done once the store has lost its records.
    package enum WhenWiped: String, CaseIterable, Sendable {
        /// Nothing is sent under a key that the store does not know, until whatever it has forgotten would have expired.
        case hold
        /// Messages are sent on; those that were sent before may be sent again.
        case serve
    }

    package var addresses: [Address]
    package var topology = Topology.standalone
    package var credentials: Credentials?
    /// Nil: without TLS.
    package var tls: TLS?
    package var database = 0
    /// Two deployments with the same one share their records.
    package var keyPrefix = "skillgate"
    package var waitReplicas = Replicas.count(0)
    package var onStoreWiped = WhenWiped.serve
    /// How long records live, and so for how long a loss of them matters.
    package var retention = Duration.seconds(86_400)
    /// For the reply to one command. Above the least time after which TCP sends again what was lost (200 ms on Linux).
    package var commandTimeout = Duration.milliseconds(300)
    /// For one step of a message, redirections and all; one more command fits in behind it.
    package var stepTimeout = Duration.milliseconds(600)
    /// For name look-up, TCP, TLS and the first exchange.
    package var connectTimeout = Duration.milliseconds(500)

    package init(addresses: [Address]) {
        self.addresses = addresses
    }
}

extension ClientTLS {
    /// That of `rediss://`.
    package init(_ files: RedisConfiguration.TLS) throws(PEMFile.LoadingError) {
        try self.init(
            caFile: files.caFile, certificateChainFile: files.certificateChainFile, privateKeyFile: files.privateKeyFile
        )
    }
}
