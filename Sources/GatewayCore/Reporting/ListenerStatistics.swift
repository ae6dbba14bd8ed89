/// Why a connection of a listener behind the PROXY protocol is closed.
package enum ProxyRefusal: String, CaseIterable, Sendable {
    /// It does not come from a proxy that is trusted.
    case untrusted
    /// It does not begin with a header of the protocol.
    case malformed
}

/// The connections from clients: those that there are now, and what has been since the start.
package struct ListenerStatistics: Equatable, Sendable {
    /// Open now, by what they speak.
    package var connections: [HTTPVersion: Int] = [:]
    /// Requests over HTTP/2 that are received, handled or answered now.
    package var streams = 0
    /// Streams that clients have reset.
    package var resets = 0
    /// Connections that were ended for a flood of frames.
    package var floods = 0
    /// Connections that were closed since too many of their address were open.
    package var turnedAway = 0
    /// Connections that were closed since their client's certificate is revoked.
    package var revoked = 0
    /// Connections that were closed since they had to begin with a header of the PROXY protocol.
    package var refusedProxies: [ProxyRefusal: Int] = [:]

    package init() {}

    package mutating func add(_ other: Self) {
        connections.merge(other.connections) { $0 + $1 }
        streams += other.streams
        resets += other.resets
        floods += other.floods
        turnedAway += other.turnedAway
        revoked += other.revoked
        refusedProxies.merge(other.refusedProxies) { $0 + $1 }
    }

    func render(to page: inout MetricsPage) {
        page.family(.connections)
        for version in HTTPVersion.allCases {
            page.sample(.connections, [("protocol", version.rawValue)], connections[version] ?? 0)
        }
        page.family(.connectionsTurnedAway)
        page.sample(.connectionsTurnedAway, [], turnedAway)
        page.family(.connectionsRevoked)
        page.sample(.connectionsRevoked, [], revoked)
        page.family(.connectionsProxyRefused)
        for refusal in ProxyRefusal.allCases {
            page.sample(.connectionsProxyRefused, [("reason", refusal.rawValue)], refusedProxies[refusal] ?? 0)
        }
        page.family(.http2Streams)
        page.sample(.http2Streams, [], streams)
        page.family(.http2Resets)
        page.sample(.http2Resets, [], resets)
        page.family(.http2Floods)
        page.sample(.http2Floods, [], floods)
    }
}
