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
    package var addressText: String {
        guard let text = address?.ipAddress else { return "local" }
        // Else a search for an IPv4 address would not find it behind a listener for both families.
        return isIPv4 && text.hasPrefix("::ffff:") ? String(text.dropFirst("::ffff:".count)) : text
    }

    private var isIPv4: Bool { if case .ipv4 = place { true } else { false } }
    /// False over a Unix socket.
    var isOverNetwork: Bool { place != .local }
    /// Of a certificate that was verified: `uri:spiffe://…` and `dns:…`.
    package let certificateNames: [String]
    package let version: HTTPVersion
    /// Over TLS.
    package let isSecure: Bool
    /// Of the connection: shared by all for whom a proxy speaks there. Made when something is to be remembered.
    private var memory: Memory?
    private var sharedMemory: Memory {
        if let memory { return memory }
        let new = Memory()
        memory = new
        return new
    }
    /// Whom it spoke for last, which often is whom it speaks for next.
    private var lastClient: Peer?

    package init(
        address: SocketAddress? = nil, certificateNames: [String] = [], version: HTTPVersion = .http1,
        isSecure: Bool = false, sharing memory: Memory? = nil
    ) {
        self.isSecure = isSecure
        self.version = version
        self.address = address
        self.certificateNames = certificateNames
        self.memory = memory
        place = Self.place(of: address)
    }

    /// Remembers the credentials that came last, which nearly always are those of the next request, too.
    func remember(_ authentication: Authentication) { sharedMemory.last = authentication }

    /// Whose the credentials are, if they are those that came last; nil if that has to be found out.
    func lastCaller(
        with head: ByteBuffer, _ field: Range<Int>, in directory: CallerDirectory, clock: () -> UnixTimestamp
    ) -> CallerDirectory.Authenticated? {
        memory?.last?.caller(of: head, field, in: directory, clock: clock)
    }

    /// Whom this one speaks for.
    func client(at address: SocketAddress) -> Peer {
        if let lastClient, lastClient.address == address { return lastClient }
        let client = Peer(
            address: address, certificateNames: certificateNames, version: version, isSecure: isSecure,
            sharing: sharedMemory)
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
    /// What a connection remembers of the requests before.
    package final class Memory {
        fileprivate var last: Authentication?

        package init() {}
    }

    /// An `Authorization` field whose API key or JSON Web Token was found to be good, and whose it is.
    ///
    /// Spares the next request of the connection a hash. The field is compared as it is, in the same time wherever the first
    /// difference is: behind a balancer one connection carries the requests of many.
    final class Authentication {
        private let field: [UInt8]
        private let caller: Caller
        private let method: CallerDirectory.Method
        /// Where the key was looked up; another configuration has another.
        private let directory: CallerDirectory
        /// Of a token: Unix time in seconds from which on it is valid no longer, and the issuers' keys it was verified with.
        private let until: (time: Int, generation: Int)?

        init(
            _ head: ByteBuffer, _ field: Range<Int>, _ caller: Caller, _ method: CallerDirectory.Method,
            in directory: CallerDirectory, until: (time: Int, generation: Int)? = nil
        ) {
            self.field = head.getBytes(at: head.readerIndex + field.lowerBound, length: field.count) ?? []
            self.caller = caller
            self.method = method
            self.directory = directory
            self.until = until
        }

        /// Nil unless it is the same field, the key is looked up in the same place, and the token still is valid.
        func caller(
            of head: ByteBuffer, _ field: Range<Int>, in directory: CallerDirectory, clock: () -> UnixTimestamp
        ) -> CallerDirectory.Authenticated? {
            guard directory === self.directory, field.count == self.field.count else { return nil }
            if let until, clock().seconds >= until.time || directory.webTokens?.generation != until.generation {
                return nil
            }
            let isSame = head.withUnsafeReadableBytes { head in
                self.field.withUnsafeBytes { Self.areEqual($0, .init(rebasing: head[field])) }
            }
            return isSame ? (caller, method) : nil
        }

        /// Of one length. In words: a token has a thousand bytes.
        private static func areEqual(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
            var difference: UInt64 = 0
            var index = 0
            while index + 8 <= one.count {
                difference |=
                    one.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                    ^ other.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                index += 8
            }
            while index < one.count {
                difference |= UInt64(one[index] ^ other[index])
                index += 1
            }
            return difference == 0
        }
    }
}
