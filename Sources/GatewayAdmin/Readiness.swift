package import GatewayCore

/// Whether messages should be sent here, and why not.
package struct Readiness: Encodable, Sendable {
    package struct SkillState: Encodable, Sendable {
        package var skill: String
        /// `valid`, `none` (never had one) or `expired`.
        package var token: String
        /// Why the last try to fetch one failed; nil once one has succeeded, while none has ended, and where it is of no consequence yet.
        package var problem: String?

        package init(skill: String, token: String, problem: String? = nil) {
            self.skill = skill
            self.token = token
            self.problem = problem
        }
    }

    /// Of idempotency records. A store that cannot be reached does not make a gateway unready: messages without a key
    /// go on, and another replica would not reach it either.
    package struct StoreState: Encodable, Sendable {
        /// `memory` or `redis`.
        package var kind: String
        package var up: Bool
        /// What keeps it from holding what it promises: a setting under which it may lose records, a loss that has been noticed, no
        /// room.
        package var problems: [String]

        package init(kind: String, up: Bool, problems: [String] = []) {
            self.kind = kind
            self.up = up
            self.problems = problems
        }
    }

    /// A region that does not answer does not make a gateway unready: the others go on.
    package struct RegionState: Encodable, Sendable {
        package var region: String
        /// Written as `closed`, `halfOpen` or `open`.
        package var circuit: CircuitState

        package init(region: String, circuit: CircuitState) {
            self.region = region
            self.circuit = circuit
        }

        private enum CodingKeys: String, CodingKey { case region, circuit }

        package func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(region, forKey: .region)
            try container.encode("\(circuit)", forKey: .circuit)
        }
    }

    /// One word for it all, the same wherever it is shown.
    package enum State: String, CaseIterable, Encodable, Sendable {
        case ready
        /// Messages are sent, but there are problems: see `reasons`.
        case degraded
        case notReady = "not ready"
        case draining
    }

    package var state: State
    /// One sentence per problem.
    package var reasons: [String]
    /// Whether messages of any skill can be sent.
    package var ready: Bool
    package var degraded: Bool { !reasons.isEmpty }
    package var draining: Bool
    package var skills: [SkillState]
    package var regions: [RegionState]
    package var store: StoreState

    /// - Parameters:
    ///   - trouble: regions to which most messages fail.
    ///   - issuers: what is wrong with issuers of callers' tokens.
    ///   - paused: what an operator has paused.
    ///   - isReloadRefused: whether the configuration on disk is not the one in force.
    package init(
        draining: Bool, skills: [SkillState], regions: [RegionState], store: StoreState, trouble: [RegionTrouble] = [],
        issuers: [String] = [], paused: [Pauses.Subject] = [], isReloadRefused: Bool = false
    ) {
        self.draining = draining
        self.skills = skills
        self.regions = regions
        self.store = store
        // Ready for those who can be served; a skill without a token is refused by itself.
        ready = !draining && skills.contains { $0.token != "none" }
        var reasons: [String] = []
        for skill in skills {
            if skill.token != "valid" {
                reasons.append("skill \(skill.skill) has no valid token\(skill.problem.map { ": \($0)" } ?? "")")
            } else if let problem = skill.problem {
                reasons.append("skill \(skill.skill) gets no new token: \(problem)")
            }
        }
        for region in regions where region.circuit != .closed {
            reasons.append("region \(region.region) is not responding (circuit \(region.circuit.text))")
        }
        reasons += trouble.map(\.text)
        reasons += issuers
        reasons += paused.map { "messages of \($0) are paused by an operator" }
        if !store.up { reasons.append("the idempotency store cannot be reached") }
        reasons += store.problems.map { "the idempotency store: \($0)" }
        if isReloadRefused { reasons.append("the configuration on disk was refused; an older one is in force") }
        self.reasons = reasons
        state = draining ? .draining : !ready ? .notReady : reasons.isEmpty ? .ready : .degraded
    }

    private enum CodingKeys: String, CodingKey {
        case state, reasons, ready, degraded, draining, skills, regions, store
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(state, forKey: .state)
        try container.encode(reasons, forKey: .reasons)
        try container.encode(ready, forKey: .ready)
        try container.encode(degraded, forKey: .degraded)
        try container.encode(draining, forKey: .draining)
        try container.encode(skills, forKey: .skills)
        try container.encode(regions, forKey: .regions)
        try container.encode(store, forKey: .store)
    }
}
