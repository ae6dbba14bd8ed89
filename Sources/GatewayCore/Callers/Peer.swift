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
    var lastAuthentication: Authentication?

    package init(address: SocketAddress? = nil, certificateNames: [String] = [], version: HTTPVersion = .http1) {
        self.version = version
        self.address = address
        self.certificateNames = certificateNames
        place = Self.place(of: address)
    }

    private static func place(of address: SocketAddress?) -> Network {
        guard let address else { return .local }
        return address.withSockAddr { pointer, size in
            let bytes = UnsafeRawBufferPointer(start: pointer, count: size)
            // Where Linux has the address: behind family and port, and with IPv6 behind the flow label, too.
            switch address.protocol {
            case .inet where size >= 8: return .ipv4(bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
            case .inet6 where size >= 24: return place(ofIPv6: .init(rebasing: bytes[8..<24]))
            default: return .local
            }
        }
    }

    private static func place(ofIPv6 bytes: UnsafeRawBufferPointer) -> Network {
        let network = bytes.loadUnaligned(as: UInt64.self)
        // ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2).
        let isMapped = network == 0 && bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self).bigEndian == 0xFFFF
        return isMapped ? .ipv4(bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self)) : .ipv6(network)
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
