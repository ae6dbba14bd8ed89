/// How the simulator misbehaves, and how it reads what Amazon does not publish. Set whole by `PUT /_simulator/faults`.
package struct Faults: Codable, Equatable, Sendable {
    /// What happens to requests to one region, or to the token endpoint.
    package struct Fault: Codable, Equatable, Sendable {
        package enum Body: String, Codable, Sendable {
            /// As the service itself would write it.
            case json
            /// As a load balancer in front of it would.
            case html
            case empty
        }

        package enum Connection: String, Codable, Sendable {
            /// Nothing is answered until the peer gives up.
            case hang
            case resetBeforeRead
            case resetAfterRead
            /// The content of the answer comes a byte at a time.
            case drip
        }

        /// Answered instead of what would have been.
        package var status: Int?
        /// Of this fault to strike, from 0 to 1.
        var probability: Double?
        /// After so many strikes the fault is over.
        package var count: Int?
        package var latencyMilliseconds: Int?
        /// Seconds, as field `Retry-After`.
        package var retryAfter: Int?
        package var body: Body?
        package var connection: Connection?
        /// The message is accepted all the same, and only its answer goes wrong.
        package var accept: Bool?
        /// Messages a second; above it, 429.
        var ratePerSecond: Int?
    }

    /// What no source says. The defaults are the stricter reading.
    package struct Unknowns: Codable, Equatable, Sendable {
        package enum Count: String, Codable, Sendable { case bytes, characters }

        /// 6144 or 6000.
        var dataLimit: Int?
        var dataCountedIn: Count?
        /// Whether `data` may hold values that are not strings.
        var acceptsOtherValues: Bool?
        /// What a userId of another region gets: 404 or 403.
        var wrongRegionStatus: Int?
    }

    /// What goes wrong behind the acceptance. Each from 0 to 1: of how many deliveries.
    package struct Skill: Codable, Equatable, Sendable {
        /// Amazon delivers a message again that the skill has acknowledged.
        var deliveredTwice: Double?
        var receiptsLost: Double?
        var receiptsDoubled: Double?
        /// A report under an id that nobody has made comes first.
        var receiptsForged: Double?
        var receiptsLate: Double?
        /// 1000 unless it is given.
        var lateMilliseconds: Int?
    }

    package var NA: Fault?
    package var EU: Fault?
    package var FE: Fault?
    package var token: Fault?
    package var skill: Skill?
    var tokenLifetimeSeconds: Int?
    /// `expires_in` as a string.
    var tokenLifetimeAsString: Bool?
    var unknowns: Unknowns?

    package init() {}

    subscript(target: Target) -> Fault? {
        get {
            switch target {
            case .region(.NA): NA
            case .region(.EU): EU
            case .region(.FE): FE
            case .token: token
            }
        }
        set {
            switch target {
            case .region(.NA): NA = newValue
            case .region(.EU): EU = newValue
            case .region(.FE): FE = newValue
            case .token: token = newValue
            }
        }
    }

    /// The names of every member, for refusing what is misspelt.
    static let members: [String: Set<String>] = {
        let fault: Set = [
            "status", "probability", "count", "latencyMilliseconds", "retryAfter", "body", "connection", "accept",
            "ratePerSecond",
        ]
        return [
            "": ["NA", "EU", "FE", "token", "skill", "tokenLifetimeSeconds", "tokenLifetimeAsString", "unknowns"],
            "NA": fault, "EU": fault, "FE": fault, "token": fault,
            "skill": [
                "deliveredTwice", "receiptsLost", "receiptsDoubled", "receiptsForged", "receiptsLate",
                "lateMilliseconds",
            ],
            "unknowns": ["dataLimit", "dataCountedIn", "acceptsOtherValues", "wrongRegionStatus"],
        ]
    }()

    /// The first value that no request could be answered with, and what is expected; nil if there is none.
    var impossibleValue: String? {
        for (name, fault) in [("NA", NA), ("EU", EU), ("FE", FE), ("token", token)] {
            guard let fault else { continue }
            if let status = fault.status, !(200...599).contains(status) {
                return "`\(name).status` is \(status); expected 200 to 599"
            }
            if let probability = fault.probability, !(0...1).contains(probability) {
                return "`\(name).probability` is \(probability); expected 0 to 1"
            }
            let counts = [
                ("count", fault.count), ("latencyMilliseconds", fault.latencyMilliseconds),
                ("retryAfter", fault.retryAfter), ("ratePerSecond", fault.ratePerSecond),
            ]
            for case (let member, let value?) in counts where !(0...86_400_000).contains(value) {
                return "`\(name).\(member)` is \(value); expected 0 to 86400000"
            }
        }
        return skill?.impossibleValue
    }

    /// A description of the first member nobody knows, or nil.
    static func unknownMember(in value: JSONValue) -> String? {
        guard case .object(let members) = value else { return nil }
        for (name, member) in members {
            guard Self.members[""]?.contains(name) == true else { return name }
            guard case .object(let inner) = member, let known = Self.members[name] else { continue }
            for innerName in inner.keys where !known.contains(innerName) { return "\(name).\(innerName)" }
        }
        return nil
    }
}

extension Faults.Skill {
    fileprivate var impossibleValue: String? {
        let shares = [
            ("deliveredTwice", deliveredTwice), ("receiptsLost", receiptsLost), ("receiptsDoubled", receiptsDoubled),
            ("receiptsForged", receiptsForged), ("receiptsLate", receiptsLate),
        ]
        for case (let member, let share?) in shares where !(0...1).contains(share) {
            return "`skill.\(member)` is \(share); expected 0 to 1"
        }
        if let lateMilliseconds, !(0...86_400_000).contains(lateMilliseconds) {
            return "`skill.lateMilliseconds` is \(lateMilliseconds); expected 0 to 86400000"
        }
        return nil
    }
}

/// The three regions, as the simulator knows them.
package enum SimulatedRegion: String, CaseIterable, Codable, Sendable { case NA, EU, FE }

/// What a fault can be set for.
enum Target: Hashable, Sendable {
    case region(SimulatedRegion)
    case token
}
