/// One region as one event loop sees it, or all of them together.
package struct UpstreamStatus: Equatable, Sendable {
    package var connections = UpstreamConnectionCounts()
    /// Connections since the start, by what they speak.
    package var established: [HTTPVersion: Int] = [:]
    /// What the last of them speaks; nil before the first.
    package var version: HTTPVersion?
    /// Messages that have a connection.
    package var inFlight = 0
    package var circuit = CircuitState.closed
    /// Messages that may be in flight at once.
    package var inFlightLimit = 0
    /// What the limit is while nobody complains.
    package var inFlightMaximum = 0
    /// By the skill's label: limits of those that Amazon has answered 429.
    package var skillLimits: [Int: Int] = [:]

    package init() {}

    /// Adds what another event loop sees. The worse of two circuits is the one to be shown.
    package mutating func add(_ other: Self) {
        connections = connections + other.connections
        established.merge(other.established) { $0 + $1 }
        version = version ?? other.version
        inFlight += other.inFlight
        // A skill that has a limit of its own on one loop only has that of the region on the others.
        for skill in Set(skillLimits.keys).union(other.skillLimits.keys) {
            skillLimits[skill] =
                (skillLimits[skill] ?? inFlightLimit) + (other.skillLimits[skill] ?? other.inFlightLimit)
        }
        inFlightLimit += other.inFlightLimit
        inFlightMaximum += other.inFlightMaximum
        if other.circuit.rawValue > circuit.rawValue { circuit = other.circuit }
    }
}
