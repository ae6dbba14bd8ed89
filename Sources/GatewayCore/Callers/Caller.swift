/// A back end that sends messages, and what it may do.
public struct Caller: Sendable {
    public enum UnknownOutcome: String, CaseIterable, Sendable {
        /// A retry of a message whose outcome is unknown is not sent.
        case hold
        /// It is sent: this caller would rather have a message twice than not at all.
        case resend
    }

    /// Its place in the configuration; a label of the metrics by way of its name.
    public var index: Int
    public var name: String
    /// The skills it may send for, by their place in the configuration.
    public var skills: [Int]
    public var regions: Set<Region>
    public var requiresIdempotencyKey: Bool
    public var unknownOutcome: UnknownOutcome

    public init(
        index: Int, name: String, skills: [Int], regions: Set<Region> = Set(Region.allCases),
        requiresIdempotencyKey: Bool = false, unknownOutcome: UnknownOutcome = .hold
    ) {
        self.index = index
        self.name = name
        self.skills = skills
        self.regions = regions
        self.requiresIdempotencyKey = requiresIdempotencyKey
        self.unknownOutcome = unknownOutcome
    }
}

/// An Alexa skill, and what is needed to send for it.
public struct Skill: Sendable {
    public var index: Int
    public var name: String
    public var defaultRegion: Region?
    public var tokens: TokenCache

    public init(index: Int, name: String, defaultRegion: Region?, tokens: TokenCache) {
        self.index = index
        self.name = name
        self.defaultRegion = defaultRegion
        self.tokens = tokens
    }
}
