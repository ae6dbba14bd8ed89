import GatewayCore
import GatewayRedis
import GatewayServer
import GatewayUpstream

/// The whole configuration as values, defaults filled in and secrets read. `Docs/Configuration.md` describes each.
struct GatewayConfiguration: Sendable {
    struct SkillConfiguration: Equatable, Sendable {
        var name = ""
        /// What idempotency records know it by; nil: its name.
        var id: String?
        var recordID: String { id ?? name }
        var credentials = ClientCredentials(clientID: "", clientSecret: "")
        var defaultRegion: Region?
        /// Nil: that of the whole configuration.
        var discovery: RegionDiscovery?
        /// The member of `data` that holds the id by which the skill reports a message; nil: it reports nothing.
        var receiptMember: String?
    }

    /// How skills report the messages that they have received.
    struct Receipts: Equatable, Sendable {
        /// The first signs, all verify.
        var signingSecrets: [String] = []
    }

    struct Upstream: Equatable, Sendable {
        /// The path of a PEM file whose certificates are trusted besides the system's.
        var caFile: String?
        var region = RegionConfiguration()
        var limits = ForwardingConfiguration.Limits()
        var strict5xx = false
        var proxy = Proxy.environment(url: nil, except: "")
    }

    /// How connections to regions and token endpoint go out.
    enum Proxy: Equatable, Sendable {
        /// As `HTTPS_PROXY` and `NO_PROXY` say, in either case; the values as they are.
        case environment(url: String?, except: String)
        case url(String)
        case none

        /// The proxy for a host.
        func forwardProxy(for host: String) -> ForwardProxy? {
            url(forHost: host).flatMap { ForwardProxy(url: $0) }
        }

        /// The URL of the proxy that a request of the control plane goes through; nil: none. What is not encrypted goes to this
        /// machine only, and straight.
        func url(for url: String) -> String? {
            guard let endpoint = try? APIEndpoint(parsing: url), endpoint.isSecure else { return nil }
            return self.url(forHost: endpoint.host)
        }

        private func url(forHost host: String) -> String? {
            switch self {
            case .environment(let proxy?, let except): ForwardProxy.isExcepted(host, by: except) ? nil : proxy
            case .url(let proxy): proxy
            case .environment, .none: nil
            }
        }

        /// As the variables say, in either case of their names.
        static func environment(_ variables: [String: String]) -> Proxy {
            func variable(_ names: String...) -> String? {
                names.lazy.compactMap { variables[$0] }.first { !$0.isEmpty }
            }
            return .environment(
                url: variable("https_proxy", "HTTPS_PROXY"), except: variable("no_proxy", "NO_PROXY") ?? "")
        }
    }

    /// Records in files of this machine.
    struct FileStore: Equatable, Sendable {
        enum Durability: String, CaseIterable {
            /// Records outlive the process, however it ends.
            case process
            /// They outlive a loss of power, too.
            case machine
        }

        /// Nil: none is configured.
        var directory: String?
        var durability = Durability.process
        var onStoreUnavailable = OnStoreUnavailable.refuse
    }

    struct Idempotency: Equatable, Sendable {
        /// Nil: as there is a directory for files or none.
        var store: StoreKind?
        var file = FileStore()
        var retention = Duration.seconds(86_400)
        var concurrentDuplicates = ForwardingConfiguration.ConcurrentDuplicates.wait
        var memory = MemoryIdempotencyStore.Configuration()
        var sharedStore = SharedStore()
        var onStoreUnavailable = OnStoreUnavailable.refuse
        var fingerprintKey: String?
        var fingerprintKeyList: [String] = []

        var kind: StoreKind { store ?? (file.directory == nil ? .memory : .file) }
        /// Nil: records are elsewhere.
        var redis: RedisConfiguration? { kind == .redis ? sharedStore.configuration(retention: retention) : nil }
        /// Shared by all replicas; the first is used, and what was made with another is known. Empty where there is none.
        var fingerprintKeys: [String] { fingerprintKey.map { [$0] } ?? fingerprintKeyList }
    }

    enum OnStoreUnavailable: String, CaseIterable {
        /// Nothing is sent that has an idempotency key.
        case refuse
        /// It is sent, and deduplicated by this process alone.
        case forward
    }

    struct Drain: Equatable, Sendable {
        /// From failing readiness to closing the listeners.
        var notice = Duration.seconds(5)
        /// From closing the listeners to giving up on messages in flight.
        var timeout = Duration.seconds(30)
    }

    /// Threads of the data plane; nil: one a core.
    var eventLoops: Int?
    var listeners = [ListenerConfiguration(.tcp(host: "127.0.0.1", port: 8080))]
    var admin = SocketAddressText(host: "127.0.0.1", port: 9090)
    /// The path of a Unix socket for operators; nil: there is none.
    var adminSocket: String?
    var adminAccess = AdminConfiguration()
    var endpoints = ByRegion { APIEndpoint.official($0) }
    var aliases = ByRegion { APIEndpoint.officialAliases($0) }
    /// What the type of a problem is appended to; nil: problems have no link.
    var problemDocumentation: String?
    var tokenEndpoint = "https://api.amazon.com/auth/o2/token"
    var upstream = Upstream()
    var discovery = RegionDiscovery.off
    /// Replicas tell each other where users live.
    var sharesUsers = false
    var skills: [SkillConfiguration] = []
    /// Whose JSON Web Tokens are accepted.
    var issuers: [IssuerConfiguration] = []
    /// Those with credentials.
    var namedCallers: [CallerConfiguration] = []
    /// The one who needs no credentials.
    var anonymousCaller: CallerConfiguration?
    var callers: [CallerConfiguration] { namedCallers + (anonymousCaller.map { [$0] } ?? []) }
    /// Nil: no skill reports anything.
    var receipts: Receipts?
    /// Nil: no access token is issued.
    var callerTokens: CallerTokensConfiguration?
    var idempotency = Idempotency()
    /// The path of the access log; nil: none is kept.
    var accessLogFile: String?
    /// Logs 1 in N accepted messages.
    var acceptedPerLogLine = 1
    var log = LogSettings.Values()
    /// The path of the audit log; nil: none is kept.
    var auditFile: String?
    /// Nil: no events are delivered.
    var events: EventsConfiguration?
    /// Nil: no traces are exported.
    var traces: TracesConfiguration?
    var drain = Drain()
    /// Files that make another configuration when they change: the file itself, secrets and certificates.
    var watchedFiles = WatchedFiles()
    /// What works, and should not be so.
    var warnings: [ConfigurationProblem] = []
    /// What the machine it is to run on has to have; each says what is missing.
    var checks: [@Sendable () -> ConfigurationProblem?] = []
}
