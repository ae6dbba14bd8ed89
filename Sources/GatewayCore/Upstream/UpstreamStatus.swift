/// One region as one event loop sees it, or all of them together.
public struct UpstreamStatus: Equatable, Sendable {
    public var connections = UpstreamConnectionCounts()
    public var circuit = CircuitBreaker.State.closed
    /// Messages that may be in flight at once.
    public var inFlightLimit = 0

    public init() {}

    public init(connections: UpstreamConnectionCounts, circuit: CircuitBreaker.State, inFlightLimit: Int) {
        self.connections = connections
        self.circuit = circuit
        self.inFlightLimit = inFlightLimit
    }

    /// Adds what another event loop sees. The worse of two circuits is the one to be shown.
    public mutating func add(_ other: Self) {
        connections = connections + other.connections
        inFlightLimit += other.inFlightLimit
        if other.circuit.rawValue > circuit.rawValue { circuit = other.circuit }
    }
}
