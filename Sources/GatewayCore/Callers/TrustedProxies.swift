package import NIOCore

/// Proxies in front of a listener that are believed when they tell whom they speak for.
package struct TrustedProxies: Equatable, Sendable {
    package enum Member: Equatable, Sendable {
        case network(IPNetwork)
        /// Whoever connects by a Unix socket: its mode says who that can be.
        case unixSockets
    }

    /// Proxies behind one another that are looked at. A client may write as many addresses as fit.
    private static let longestChain = 16

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
    /// last address that is not one of these proxies. Addresses before it can be forged.
    ///
    /// - Returns: if all are proxies, or what stands before them cannot be read, the first of those proxies; nil if not even the last
    ///   address can be read.
    func client(of request: InboundRequest) -> SocketAddress? {
        let head = request.headBytes
        let bytes = head.readableBytesUInt8Span
        var client: SocketAddress?
        var proxies = 0
        for line in request.forwardedFor.reversed() {
            var end = line.upperBound
            while true {
                // By bytes: to text, a comma can be part of what a client has put in front of it.
                var start = end
                while start > line.lowerBound && bytes[start - 1] != UInt8(ascii: ",") { start -= 1 }
                guard let address = Self.address(bytes.text(bytes.trimmed(start..<end))) else { return client }
                client = address
                proxies += 1
                if proxies > Self.longestChain || !contains(address) { return address }
                guard start > line.lowerBound else { break }
                end = start - 1
            }
        }
        return client
    }

    /// Some proxies write a port, too, and brackets around IPv6.
    private static func address(_ text: String) -> SocketAddress? {
        if let address = SocketAddress.numeric(text) { return address }
        guard let host = try? HostAndPort(parsing: text[...]).host else { return nil }
        return SocketAddress.numeric(host)
    }
}
