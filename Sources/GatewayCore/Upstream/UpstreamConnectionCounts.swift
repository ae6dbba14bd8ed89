/// The connections to one region by what they are doing: `skillgate_upstream_connections`.
public struct UpstreamConnectionCounts: Equatable, Sendable {
    public var idle: Int
    public var leased: Int
    public var connecting: Int

    public init(idle: Int = 0, leased: Int = 0, connecting: Int = 0) {
        self.idle = idle
        self.leased = leased
        self.connecting = connecting
    }

    public static func + (one: Self, other: Self) -> Self {
        Self(
            idle: one.idle + other.idle, leased: one.leased + other.leased,
            connecting: one.connecting + other.connecting)
    }
}
