package import NIOCore

/// Proxies in front of a listener that are believed when they tell whom they speak for.
package struct TrustedProxies: Equatable, Sendable {
    package enum Member: Equatable, Sendable {
        case network(IPNetwork)
        /// Whoever connects by a Unix socket: its mode says who that can be.
        case unixSockets
    }

    private let members: [Member]

    package init(_ members: [Member]) {
        self.members = members
    }

    /// - Parameter address: nil or a path for a Unix socket.
    package func contains(_ address: SocketAddress?) -> Bool {
        members.contains { member in
            switch member {
            case .network(let network): address.map { network.contains($0) } ?? false
            case .unixSockets: address?.ipBits == nil
            }
        }
    }

    /// Whom `X-Forwarded-For` says that a request comes from: each proxy adds the address that it was called from, so the client is the
    /// last address that is not one of these proxies. What stands before it is anybody's word.
    ///
    /// - Returns: nil if no address of a client can be read.
    func client(of request: InboundRequest) -> SocketAddress? {
        var client: SocketAddress?
        for line in request.head.forwardedFor.reversed() {
            var rest = request.text(line)[...]
            while true {
                let comma = rest.lastIndex(of: ",")
                let element = comma.map { rest[rest.index(after: $0)...] } ?? rest
                guard let address = Self.address(element) else { return client }
                client = address
                if !contains(address) { return address }
                guard let comma else { break }
                rest = rest[..<comma]
            }
        }
        return client
    }

    /// Some proxies write a port, too, and brackets around IPv6.
    private static func address(_ element: Substring) -> SocketAddress? {
        let text = String(element.trimmingBlanks)
        if let address = try? SocketAddress(ipAddress: text, port: 0) { return address }
        guard let host = try? HostAndPort(parsing: text[...]).host else { return nil }
        return try? SocketAddress(ipAddress: host, port: 0)
    }
}

extension Substring {
    /// Without spaces and tabs at either end.
    fileprivate var trimmingBlanks: Substring {
        var text = self[...]
        while let first = text.utf8.first, isBlank(first) { text.removeFirst() }
        while let last = text.utf8.last, isBlank(last) { text.removeLast() }
        return text
    }
}
