/// What a caller is held to, by the names that the members of the configuration have.
package enum CallerRule: String, CaseIterable, Sendable {
    case rate, maximumInFlight, idempotencyKey, skills, regions

    fileprivate var member: CallerRules {
        switch self {
        case .rate: CallerRules(rawValue: 1)
        case .maximumInFlight: CallerRules(rawValue: 2)
        case .idempotencyKey: CallerRules(rawValue: 4)
        case .skills: CallerRules(rawValue: 8)
        case .regions: CallerRules(rawValue: 16)
        }
    }
}

/// Some of the rules. One byte, which a request carries along at no cost.
package struct CallerRules: OptionSet, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    package init(_ rules: [CallerRule]) {
        self = rules.reduce(into: []) { $0.formUnion($1.member) }
    }

    func contains(_ rule: CallerRule) -> Bool { contains(rule.member) }

    mutating func insert(_ rule: CallerRule) { formUnion(rule.member) }
}
