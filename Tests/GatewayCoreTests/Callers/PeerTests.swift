import NIOCore
import Testing

@testable import GatewayCore

@Suite struct PeerTests {
    private func place(_ address: String) throws -> Peer.Network {
        Peer(address: try SocketAddress(ipAddress: address, port: 1)).place
    }

    @Test func `connections from one place are told from those of others`() throws {
        #expect(try place("192.0.2.1") == place("192.0.2.1"))
        #expect(try place("192.0.2.1") != place("192.0.2.2"))
        #expect(try place("::ffff:192.0.2.1") == place("192.0.2.1"))
        #expect(try place("2001:db8::1") == place("2001:db8::2:3"), "one network")
        #expect(try place("2001:db8::1") != place("2001:db8:0:1::1"))
        #expect(Peer().place == .local)
        #expect(Peer(address: try SocketAddress(unixDomainSocketPath: "/x")).place == .local)
    }

    @Test func `failures are limited by place, and a place that is full hurts no other`() throws {
        let attempts = NetworkThrottle.ofFailedAttempts()
        let now = NIODeadline.uptimeNanoseconds(1)
        let (one, other) = (try place("192.0.2.1"), try place("192.0.2.2"))
        let answers = (0..<40).map { _ in attempts.retryAfter(of: one, now: now) }
        #expect(answers.count { $0 == nil } == 30)
        #expect(answers.last == 1)
        #expect(attempts.retryAfter(of: other, now: now) == nil)
        #expect(attempts.retryAfter(of: one, now: now + .seconds(2)) == nil)
    }

    @Test func `however many places there are, memory is bounded and all stay limited`() {
        let attempts = NetworkThrottle.ofFailedAttempts()
        let now = NIODeadline.uptimeNanoseconds(1)
        for number in 0..<10_000 { _ = attempts.retryAfter(of: .ipv4(UInt32(number)), now: now) }
        let late = (0..<100).compactMap { attempts.retryAfter(of: .ipv4(1_000_000 + UInt32($0)), now: now) }
        #expect(late.count == 100, "those that do not fit share one limit, which is used up")
        #expect(attempts.retryAfterIfFull(of: .ipv4(2_000_000), now: now) == 1, "whoever only asks is told so, too")
        #expect(attempts.retryAfterIfFull(of: .ipv4(7), now: now) == nil)
        // Later on there is room again.
        #expect(attempts.retryAfter(of: .ipv4(7), now: now + .seconds(120)) == nil)
    }
}
