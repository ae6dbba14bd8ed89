package import NIOCore

/// The IP addresses that begin with the same bits, such as `10.0.0.0/8` (RFC 4632 section 3.1) or `2001:db8::/32`.
///
/// IPv4 addresses count as the IPv6 addresses that they are mapped to (RFC 4291 section 2.5.5.2), so that a listener for both families
/// finds them.
package struct IPNetwork: Equatable, Sendable, CustomStringConvertible {
    private let firstAddress: UInt128
    /// Of 128.
    private let length: Int
    /// As it was written.
    package let description: String

    /// Nil for what is neither an address nor a network, and for a network whose address has bits set behind its prefix.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = SocketAddress.numeric(String(parts[0])),
            let bits = address.ipBits
        else { return nil }
        let width = address.protocol == .inet ? 32 : 128
        var length = width
        if parts.count == 2 {
            guard let written = Int(digits: parts[1]), written <= width else { return nil }
            length = written
        }
        self.length = 128 - width + length
        firstAddress = bits
        description = text
        guard bits & ~Self.mask(self.length) == 0 else { return nil }
    }

    private static func mask(_ length: Int) -> UInt128 { UInt128.max << UInt128(128 - length) }

    /// False for a Unix socket.
    package func contains(_ address: SocketAddress) -> Bool {
        guard let bits = address.ipBits else { return false }
        return bits & Self.mask(length) == firstAddress
    }
}

extension SocketAddress {
    /// An IP address that is nothing else: neither a zone (`fe80::1%eth0`) nor anything that the system might look up.
    package static func numeric(_ text: String, port: Int = 0) -> SocketAddress? {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
                UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: ":"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        return isPlain ? try? SocketAddress(ipAddress: text, port: port) : nil
    }

    /// The IP address; of IPv4, what it is mapped to in IPv6. Nil for a Unix socket.
    var ipBits: UInt128? {
        withSockAddr { pointer, size in
            let bytes = UnsafeRawBufferPointer(start: pointer, count: size)
            // Where Linux has the address: behind family and port, and with IPv6 behind the flow label, too.
            switch self.protocol {
            case .inet where size >= 8:
                let address = bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self).bigEndian
                return 0xFFFF_0000_0000 | UInt128(address)
            case .inet6 where size >= 24:
                let high = bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self).bigEndian
                let low = bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self).bigEndian
                return UInt128(high) << 64 | UInt128(low)
            default: return nil
            }
        }
    }
}
