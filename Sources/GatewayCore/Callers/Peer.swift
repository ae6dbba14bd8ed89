package import NIOCore

/// The other end of a connection from a caller. Bound to the connection's event loop.
package final class Peer {
    /// What stands for all connections from one place when failed attempts are counted: an IPv4 address, a network of
    /// IPv6, or this machine.
    package enum Network: Hashable, Sendable {
        case ipv4(UInt32)
        /// The first 64 bits: whoever has one address of such a network has them all.
        case ipv6(UInt64)
        case local
    }

    package let address: SocketAddress?
    package let place: Network
    /// For logs: the IP address, or `local`.
    var addressText: String { address?.ipAddress ?? "local" }
    /// False over a Unix socket.
    var isOverNetwork: Bool { place != .local }
    /// Of a certificate that was verified: `uri:spiffe://…` and `dns:…`.
    package let certificateNames: [String]
    package let version: HTTPVersion
    /// With the API key that came last, which nearly always is the key of the next request, too.
    var lastAuthentication: Authentication? {
        get { if let proxy { proxy.lastAuthentication } else { ownAuthentication } }
        set { if let proxy { proxy.lastAuthentication = newValue } else { ownAuthentication = newValue } }
    }
    private var ownAuthentication: Authentication?
    /// The other end of the connection, where it is a proxy that speaks for this one.
    private let proxy: Peer?
    /// Whom it spoke for last, which often is whom it speaks for next.
    private var lastClient: Peer?

    package init(
        address: SocketAddress? = nil, certificateNames: [String] = [], version: HTTPVersion = .http1,
        through proxy: Peer? = nil
    ) {
        self.version = version
        self.address = address
        self.certificateNames = certificateNames
        self.proxy = proxy
        place = Self.place(of: address)
    }

    /// Whom this one speaks for.
    func client(at address: SocketAddress) -> Peer {
        if let lastClient, lastClient.address == address { return lastClient }
        let client = Peer(address: address, certificateNames: certificateNames, version: version, through: self)
        lastClient = client
        return client
    }

    private static func place(of address: SocketAddress?) -> Network {
        guard let bits = address?.ipBits else { return .local }
        // ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2).
        return bits >> 32 == 0xFFFF
            ? .ipv4(UInt32(truncatingIfNeeded: bits)) : .ipv6(UInt64(truncatingIfNeeded: bits >> 64))
    }
}

extension Peer {
    /// An `Authorization` field whose API key was found to be good, and whose it is.
    ///
    /// Spares the next request of the connection a hash. The field is compared as it is, in the same time wherever the first
    /// difference is: behind a balancer one connection carries the requests of many.
    struct Authentication {
        private let field: [UInt8]
        private let caller: Caller
        /// Where the key was looked up; another configuration has another.
        private let directory: CallerDirectory

        init(_ head: ByteBuffer, _ field: Range<Int>, _ caller: Caller, in directory: CallerDirectory) {
            self.field = head.getBytes(at: head.readerIndex + field.lowerBound, length: field.count) ?? []
            self.caller = caller
            self.directory = directory
        }

        /// Nil unless it is the same field, and the key is looked up in the same place.
        func caller(of head: ByteBuffer, _ field: Range<Int>, in directory: CallerDirectory) -> Caller? {
            guard directory === self.directory, field.count == self.field.count else { return nil }
            let isSame = head.withUnsafeReadableBytes { head in
                self.field.withUnsafeBytes { known in
                    var difference: UInt8 = 0
                    for index in 0..<field.count { difference |= head[field.lowerBound + index] ^ known[index] }
                    return difference == 0
                }
            }
            return isSame ? caller : nil
        }
    }
}
