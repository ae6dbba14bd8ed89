/// The connections to one region by what they are doing: `skillgate_upstream_connections`.
package struct UpstreamConnectionCounts: Equatable, Sendable {
    package var idle: Int
    package var leased: Int
    package var connecting: Int

    package init(idle: Int = 0, leased: Int = 0, connecting: Int = 0) {
        self.idle = idle
        self.leased = leased
        self.connecting = connecting
    }

    package static func + (one: Self, other: Self) -> Self {
        Self(
            idle: one.idle + other.idle, leased: one.leased + other.leased,
            connecting: one.connecting + other.connecting)
    }
}
