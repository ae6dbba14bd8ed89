import GatewayCore

extension GatewayConfiguration {
    /// A caller as it is written.
    struct CallerConfiguration: Equatable, Sendable {
        enum KeyPolicy: String, CaseIterable { case optional, required }

        struct Rate: Equatable, Sendable {
            var perSecond = 0
            var burst: Int?
            var scope = RateScope.process
        }

        /// Where a rate is counted.
        enum RateScope: String, CaseIterable {
            /// By each replica for itself.
            case process
            /// Over all replicas that share a store.
            case deployment
        }

        struct CertificateName: Equatable, Sendable {
            var uri: String?
            var dns: String?
        }

        var name = ""
        /// What idempotency records know it by; nil: its name.
        var id: String?
        var keys: [APIKeyDigest] = []
        /// For buying access tokens of the gateway.
        var clientID: String?
        var clientSecret: String?
        var nextClientSecret: String?
        var certificate: CertificateName?
        var token: CallerWebToken?
        var skillNames: [String] = []
        /// The same, by their place in the list of skills.
        var skills: [Int] = []
        var regions = Region.allCases
        var rate: Rate?
        var maximumInFlight: Int?
        var weight = 1
        var idempotencyKey = KeyPolicy.optional
        var idempotencyKeyFrom = [IdempotencyKeySource.field]
        var contentWindow = Duration.seconds(300)
        /// Nil: the skill's.
        var discovery: RegionDiscovery?
        var unknownOutcome = Caller.UnknownOutcome.hold
        var reportOnly: [CallerRule] = []
    }

    /// The gateway's own access tokens.
    struct CallerTokensConfiguration: Equatable, Sendable {
        /// The first signs, all verify.
        var signingSecrets: [String] = []
        var lifetime = Duration.seconds(3600)
    }
}

extension GatewayConfiguration.CallerConfiguration {
    var recordID: String { id ?? name }

    /// Whether its rate counts over all replicas.
    var sharesRate: Bool { rate?.scope == .deployment }

    var limits: CallerLimits {
        CallerLimits(
            rate: rate.map { RateLimit(perSecond: $0.perSecond, burst: $0.burst ?? $0.perSecond) },
            maximumInFlight: maximumInFlight)
    }

    var client: CallerDirectory.ClientEntry? {
        clientID.map { id in
            let secrets = [clientSecret, nextClientSecret].compactMap { $0 }
            return CallerDirectory.ClientEntry(clientID: id, secrets: secrets.map { APIKeyDigest(of: $0) })
        }
    }

    /// As in `Peer.certificateNames`.
    var certificateName: String? {
        certificate.flatMap { name in
            name.uri.map { "uri:" + $0 } ?? name.dns.map { "dns:" + $0.lowercased() }
        }
    }
}

extension GatewayConfiguration {
    /// Whether a caller's rate counts over all replicas.
    var sharesRates: Bool { callers.contains(where: \.sharesRate) }

    /// Whether several callers may send for a skill.
    ///
    /// - Parameter index: its place in the list of skills.
    func isShared(skill index: Int) -> Bool {
        callers.count { $0.skills.contains(index) || $0.reportOnly.contains(.skills) } > 1
    }

    /// What idempotency records know callers by.
    func recordIDs(of callerNames: [String]) -> [String] {
        callerNames.map { name in callers.first { $0.name == name }?.recordID ?? name }
    }
}
