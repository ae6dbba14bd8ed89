import Yams

/// Who and what there is beyond the simulator's defaults: a YAML file for `skillgate simulate --scenario`.
public struct Scenario: Codable, Sendable {
    public struct Client: Codable, Sendable {
        public var clientID: String
        public var secrets: [String]
    }

    public struct User: Codable, Sendable {
        public var userId: String
        /// Left out: the user is gone.
        public var region: SimulatedRegion?
    }

    /// What no simulator can do.
    struct Mistake: Error, CustomStringConvertible {
        var description: String
    }

    public var clients: [Client]?
    public var users: [User]?
    public var faults: Faults?

    public init() {}

    public init(yaml: String) throws {
        self = try YAMLDecoder().decode(Scenario.self, from: yaml)
        if let impossible = faults?.impossibleValue { throw Mistake(description: "faults: \(impossible)") }
    }
}
