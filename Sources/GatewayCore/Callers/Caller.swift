/// A back end that sends messages, and what it may do. An object, so that a message retains one thing and not many.
public final class Caller: Sendable {
    public enum UnknownOutcome: String, CaseIterable, Sendable {
        /// A retry of a message whose outcome is unknown is not sent.
        case hold
        /// It is sent: this caller would rather have a message twice than not at all.
        case resend
    }

    /// Its place in the configuration that it belongs to.
    public let index: Int
    /// Its place among the names that metrics are labelled with, which outlive a configuration.
    public let label: Int
    public let name: String
    /// What idempotency records know it by: renamed, it keeps its keys.
    public let recordID: String
    /// The skills it may send for, by their place in the configuration.
    public let skills: [Int]
    public let regions: Set<Region>
    public let requiresIdempotencyKey: Bool
    public let unknownOutcome: UnknownOutcome
    public let limits: CallerLimits
    /// Shared with the same caller of other event loops, and of the configurations before and after this one.
    let usage: CallerUsage

    public init(
        index: Int, label: Int? = nil, name: String, recordID: String? = nil, skills: [Int],
        regions: Set<Region> = Set(Region.allCases),
        requiresIdempotencyKey: Bool = false, unknownOutcome: UnknownOutcome = .hold,
        limits: CallerLimits = CallerLimits(), usage: CallerUsage = CallerUsage()
    ) {
        self.index = index
        self.label = label ?? index
        self.name = name
        self.recordID = recordID ?? name
        self.skills = skills
        self.regions = regions
        self.requiresIdempotencyKey = requiresIdempotencyKey
        self.unknownOutcome = unknownOutcome
        self.limits = limits
        self.usage = usage
    }
}

/// An Alexa skill, and what is needed to send for it.
public final class Skill: Sendable {
    /// Its place in the configuration that it belongs to.
    public let index: Int
    /// Its place among the names that metrics are labelled with, which outlive a configuration.
    public let label: Int
    public let name: String
    /// What idempotency records know it by: renamed, it keeps its keys.
    public let recordID: String
    public let defaultRegion: Region?
    public let tokens: TokenCache
    /// Shared with the same skill of the configurations before and after this one.
    let users: SkillUsers

    public init(
        index: Int, label: Int? = nil, name: String, recordID: String? = nil, defaultRegion: Region?,
        tokens: TokenCache,
        users: SkillUsers? = nil
    ) {
        self.users = users ?? UserRegions().users(of: name)
        self.index = index
        self.label = label ?? index
        self.name = name
        self.recordID = recordID ?? name
        self.defaultRegion = defaultRegion
        self.tokens = tokens
    }
}
