import NIOCore
import Testing

@testable import GatewayUpstream

final class HostAddressesTests {
    private let now = NIODeadline.uptimeNanoseconds(1)
    private let v4: [SocketAddress]
    private let v6: [SocketAddress]
    private var addresses = HostAddresses()

    init() throws {
        v4 = try (1...3).map { try SocketAddress(ipAddress: "192.0.2.\($0)", port: 443) }
        v6 = try (1...2).map { try SocketAddress(ipAddress: "2001:db8::\($0)", port: 443) }
    }

    private func order(after time: TimeAmount = .zero) -> HostAddresses.ByFamily {
        addresses.resolved((v6, v4), now: now + time)
    }

    /// - Returns: whether there is another address.
    private func fail(_ address: SocketAddress) -> Bool { addresses.failed(address, now: now) }

    @Test func `nothing changes the order before a handshake failed`() {
        #expect(order() == (v6, v4))
    }

    @Test func `where a handshake failed is tried last, for a while`() {
        _ = order()
        #expect(fail(v4[0]))
        #expect(order(after: .seconds(29)) == (v6, [v4[1], v4[2], v4[0]]))
        #expect(order(after: .seconds(30)) == (v6, v4))
    }

    @Test func `a family in which all failed is left out, unless all of both did`() {
        _ = order()
        for address in v6 { #expect(fail(address)) }
        #expect(order() == ([], v4))
        #expect(fail(v4[0]) && fail(v4[1]))
        #expect(!fail(v4[2]), "there is no other")
        #expect(order() == (v6, v4))
        addresses.succeeded(v6[1])
        #expect(order() == ([v6[1], v6[0]], []))
    }

    @Test func `a name that stands for others again and again fails all the same`() throws {
        for number in 0..<20 {
            let addresses = try (1...2).map { try SocketAddress(ipAddress: "198.51.100.\(2 * number + $0)", port: 443) }
            _ = self.addresses.resolved(([], addresses), now: now)
            #expect(fail(addresses[0]) == (number < 7), "\(number)")
        }
    }
}
