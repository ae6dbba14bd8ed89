/// Whether messages should be sent here, and why not.
public struct Readiness: Encodable, Sendable {
    public struct SkillState: Encodable, Sendable {
        public var skill: String
        /// `valid`, `none` (never had one) or `expired`.
        public var token: String

        public init(skill: String, token: String) {
            self.skill = skill
            self.token = token
        }
    }

    /// Of idempotency records. A store that cannot be reached does not make a gateway unready: messages without a key
    /// go on, and another replica would not reach it either.
    public struct StoreState: Encodable, Sendable {
        /// `memory` or `redis`.
        public var kind: String
        public var up: Bool
        /// What keeps it from holding what it promises: a setting under which it may lose records, a loss that has been noticed, no
        /// room.
        public var problems: [String]

        public init(kind: String, up: Bool, problems: [String] = []) {
            self.kind = kind
            self.up = up
            self.problems = problems
        }
    }

    /// A region that does not answer does not make a gateway unready: the others go on.
    public struct RegionState: Encodable, Sendable {
        public var region: String
        /// `closed`, `halfOpen` or `open`.
        public var circuit: String

        public init(region: String, circuit: String) {
            self.region = region
            self.circuit = circuit
        }
    }

    /// Whether messages of any skill can be sent.
    public var ready: Bool
    /// Whether those of some skill cannot be, for want of a token, or the store is not what it should be.
    public var degraded: Bool
    public var draining: Bool
    public var skills: [SkillState]
    public var regions: [RegionState]
    public var store: StoreState

    public init(
        ready: Bool, degraded: Bool, draining: Bool, skills: [SkillState], regions: [RegionState], store: StoreState
    ) {
        self.store = store
        self.regions = regions
        self.ready = ready
        self.degraded = degraded
        self.draining = draining
        self.skills = skills
    }
}
