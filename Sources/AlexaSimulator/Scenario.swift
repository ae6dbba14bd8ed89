import Yams

/// Who and what there is beyond the simulator's defaults: a YAML file for `skillgate simulate --scenario`.
package struct Scenario: Codable, Sendable {
    package struct Client: Codable, Sendable {
        package var clientID: String
        package var secrets: [String]
    }

    package struct User: Codable, Sendable {
        package var userId: String
        /// Left out: the user is gone.
        package var region: SimulatedRegion?
    }

    /// What no simulator can do.
    struct ReadingError: Error, CustomStringConvertible {
        var description: String
    }

    package var clients: [Client]?
    package var users: [User]?
    package var faults: Faults?

    package init() {}

    package init(yaml: String) throws {
        self = try YAMLDecoder().decode(Scenario.self, from: yaml)
        if let impossible = faults?.impossibleValue { throw ReadingError(description: "faults: \(impossible)") }
    }
}
