/// A back end that sends messages, and what it may do. An object, so that a message retains one thing and not many.
package final class Caller: Sendable {
    package enum UnknownOutcome: String, CaseIterable, Sendable {
        /// A retry of a message whose outcome is unknown is not sent.
        case hold
        /// It is sent: this caller would rather have a message twice than not at all.
        case resend
    }

    /// Its place in the configuration that it belongs to.
    package let index: Int
    /// Its place among the names that metrics are labelled with, which outlive a configuration.
    package let label: Int
    package let name: String
    /// What idempotency records know it by: renamed, it keeps its keys.
    package let recordID: String
    /// The skills it may send for, by their place in the configuration.
    package let skills: [Int]
    package let regions: Set<Region>
    /// The same, a bit each, by raw value: a set hashes what it is asked for.
    private let regionBits: UInt8
    package let requiresIdempotencyKey: Bool
    package let keySources: IdempotencyKeySources
    /// Nil: the skill's.
    package let discovery: RegionDiscovery?
    package let unknownOutcome: UnknownOutcome
    package let limits: CallerLimits
    /// For its share of what Amazon takes of a skill; more than 0.
    package let weight: Int
    /// Whoever breaks one of these is let through, and it is counted and logged.
    package let reportedRules: CallerRules
    /// Where its users are looked for.
    let searchedRegions: Set<Region>
    /// Shared with the same caller of other event loops, and of the configurations before and after this one.
    let usage: CallerUsage
    /// Nil: its rate counts in this process alone, if it has one.
    let sharedRate: SharedRate?

    package init(
        index: Int, label: Int? = nil, name: String, recordID: String? = nil, skills: [Int],
        regions: Set<Region> = Set(Region.allCases),
        requiresIdempotencyKey: Bool = false, keySources: IdempotencyKeySources = IdempotencyKeySources(),
        discovery: RegionDiscovery? = nil,
        unknownOutcome: UnknownOutcome = .hold,
        limits: CallerLimits = CallerLimits(), weight: Int = 1, reportedRules: CallerRules = [],
        usage: CallerUsage = CallerUsage(), sharedRate: SharedRate? = nil
    ) {
        self.index = index
        self.label = label ?? index
        self.name = name
        self.recordID = recordID ?? name
        self.skills = skills
        self.regions = regions
        regionBits = regions.reduce(0) { $0 | 1 << UInt8(truncatingIfNeeded: $1.rawValue) }
        self.requiresIdempotencyKey = requiresIdempotencyKey
        self.keySources = keySources
        self.discovery = discovery
        self.unknownOutcome = unknownOutcome
        self.limits = limits
        self.weight = max(1, weight)
        self.reportedRules = reportedRules
        searchedRegions = reportedRules.contains(.regions) ? Set(Region.allCases) : regions
        self.usage = usage
        self.sharedRate = sharedRate
    }

    func maySend(to region: Region) -> Bool { regionBits & 1 << UInt8(truncatingIfNeeded: region.rawValue) != 0 }
}

/// An Alexa skill, and what is needed to send for it.
package final class Skill: Sendable {
    /// Its place in the configuration that it belongs to.
    package let index: Int
    /// Its place among the names that metrics are labelled with, which outlive a configuration.
    package let label: Int
    package let name: String
    /// What idempotency records know it by: renamed, it keeps its keys.
    package let recordID: String
    package let defaultRegion: Region?
    /// Nil: that of the whole configuration.
    package let discovery: RegionDiscovery?
    package let tokens: TokenCache
    /// The member of `data` that holds the id by which the skill reports a message; nil: it reports nothing.
    package let receiptMember: String?
    /// Shared with the same skill of the configurations before and after this one.
    let users: SkillUsers
    /// Likewise; nil: nobody shares the skill.
    package let quotas: ByRegion<SkillQuota>?

    package init(
        index: Int, label: Int? = nil, name: String, recordID: String? = nil, defaultRegion: Region?,
        discovery: RegionDiscovery? = nil, tokens: TokenCache, receiptMember: String? = nil,
        users: SkillUsers? = nil, quotas: ByRegion<SkillQuota>? = nil
    ) {
        self.receiptMember = receiptMember
        self.users = users ?? UserRegions().users(of: name)
        self.quotas = quotas
        self.index = index
        self.label = label ?? index
        self.name = name
        self.recordID = recordID ?? name
        self.defaultRegion = defaultRegion
        self.discovery = discovery
        self.tokens = tokens
    }
}
