import GatewayCore

/// What callers and skills keep when another configuration is loaded: their place among the labels of the metrics, what
/// they have used of their limits, and their token.
struct ReloadableState: Sendable {
    struct KnownSkill: Sendable {
        var credentials: ClientCredentials
        var tokens: TokenCache
    }

    /// By label. A name that is gone keeps its place, since its counters go on being shown.
    private(set) var callerNames: [String] = []
    private(set) var skillNames: [String] = []
    private var usages: [CallerUsage] = []
    /// By label, of the callers of the configuration in force.
    private var limits: [Int: CallerLimits] = [:]
    /// Of the callers of the configuration in force.
    private(set) var reportedRules: [ForwardingInstruments.ReportedSeries] = []
    /// Those of the configuration in force.
    private(set) var skills: [Skill] = []
    private var known: [String: KnownSkill] = [:]
    var issuers = KnownIssuers()
    /// Nil without a store that all replicas share.
    var sharedRates: SharedRates?
    let quotas: SkillQuotas

    init(_ quotas: SkillQuotas) {
        self.quotas = quotas
    }

    /// What has to be done, besides, when this reloadable takes the place of the one before.
    struct Changes {
        /// Caches that did not exist before.
        var added: [TokenCache] = []
        /// Caches whose secrets are others now.
        var replaced: [(tokens: TokenCache, credentials: ClientCredentials)] = []
        /// Caches that nobody will ask any more.
        var removed: [TokenCache] = []
    }

    /// Takes the skills of a configuration.
    ///
    /// - Parameters:
    ///   - users: of all skills.
    ///   - makeCache: for a skill that is new, or whose client is another.
    mutating func take(
        _ configuration: GatewayConfiguration, _ users: UserRegions,
        makeCache: (GatewayConfiguration.SkillConfiguration) -> TokenCache
    ) -> Changes {
        var changes = Changes()
        var left = known
        known = [:]
        skills = configuration.skills.enumerated().map { index, skill in
            let tokens: TokenCache
            if let old = left[skill.name], old.credentials.clientID == skill.credentials.clientID {
                left[skill.name] = nil
                tokens = old.tokens
                if old.credentials != skill.credentials { changes.replaced.append((tokens, skill.credentials)) }
            } else {
                tokens = makeCache(skill)
                changes.added.append(tokens)
            }
            known[skill.name] = KnownSkill(credentials: skill.credentials, tokens: tokens)
            return Skill(
                index: index, label: Self.label(skill.name, in: &skillNames), name: skill.name,
                recordID: skill.recordID, defaultRegion: skill.defaultRegion, discovery: skill.discovery,
                tokens: tokens, receiptMember: skill.receiptMember, users: users.users(of: skill.name),
                quotas: configuration.isShared(skill: index) ? quotas.quotas(of: skill.recordID) : nil)
        }
        changes.removed = left.values.map(\.tokens)
        return changes
    }

    /// The callers of a configuration, with what they have used so far.
    mutating func entries(_ configuration: GatewayConfiguration) -> [CallerDirectory.Entry] {
        (limits, reportedRules) = ([:], [])
        return configuration.callers.enumerated().map { index, caller in
            let label = Self.label(caller.name, in: &callerNames)
            limits[label] = caller.limits
            reportedRules += caller.reportOnly.map { .init(caller: label, rule: $0) }
            while usages.count < callerNames.count { usages.append(CallerUsage()) }
            let value = Caller(
                index: index, label: label, name: caller.name, recordID: caller.recordID, skills: caller.skills,
                regions: Set(caller.regions),
                requiresIdempotencyKey: caller.idempotencyKey == .required,
                keySources: IdempotencyKeySources(caller.idempotencyKeyFrom, contentWindow: caller.contentWindow),
                discovery: caller.discovery,
                unknownOutcome: caller.unknownOutcome,
                limits: caller.limits, weight: caller.weight, reportedRules: CallerRules(caller.reportOnly),
                usage: usages[label],
                sharedRate: sharedRate(of: caller))
            return CallerDirectory.Entry(
                value, keys: caller.keys, client: caller.client,
                certificateNames: caller.certificateName.map { [$0] } ?? [],
                webTokens: configuration.webTokenIdentity(of: caller).map { [$0] } ?? [])
        }
    }

    private func sharedRate(of caller: GatewayConfiguration.CallerConfiguration) -> SharedRate? {
        guard caller.sharesRate, let limit = caller.limits.rate else { return nil }
        return sharedRates?.rate(of: caller.recordID, limit)
    }

    /// By label, of the callers of the configuration in force: their messages in flight, and as many as they may have; nil where that is
    /// not limited.
    var messagesInFlight: [Int: (current: Int, maximum: Int)?] {
        Dictionary(
            uniqueKeysWithValues: limits.map { label, limits in
                (label, limits.maximumInFlight.map { (usages[label].current, $0) })
            })
    }

    private static func label(_ name: String, in names: inout [String]) -> Int {
        if let label = names.firstIndex(of: name) { return label }
        names.append(name)
        return names.count - 1
    }
}
