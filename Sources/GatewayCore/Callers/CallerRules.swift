/// What a caller is held to.
package enum CallerRule: String, CaseIterable, Sendable {
    // As the members of the configuration.
    case rate, maximumInFlight, idempotencyKey, skills, regions

    fileprivate var bit: UInt8 {
        switch self {
        case .rate: 1
        case .maximumInFlight: 2
        case .idempotencyKey: 4
        case .skills: 8
        case .regions: 16
        }
    }
}

/// Some of the rules. One byte, so that a request carries it along for nothing.
package struct CallerRules: Equatable, Sendable {
    private var bits: UInt8 = 0

    package init(_ rules: [CallerRule] = []) {
        for rule in rules { insert(rule) }
    }

    var isEmpty: Bool { bits == 0 }

    func contains(_ rule: CallerRule) -> Bool { bits & rule.bit != 0 }

    mutating func insert(_ rule: CallerRule) { bits |= rule.bit }
}
