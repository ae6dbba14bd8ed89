import NIOCore
import Testing

@testable import GatewayRedis

@Suite struct ClusterSlotsTests {
    /// Values that a server gives by `CLUSTER KEYSLOT`.
    @Test(arguments: [
        ("", 0), ("123456789", 12_739), ("foo", 12_182), ("{user1000}.following", 3_443),
        ("{user1000}.followers", 3_443), ("foo{}{bar}", 8_363), ("foo{{bar}}zap", 4_015), ("foo{bar}{zap}", 5_061),
    ])
    func `a key's slot is the one that servers compute`(key: String, slot: Int) {
        #expect(ClusterSlots.slot(of: ByteBuffer(string: key)) == slot)
    }

    private func node(_ host: String, _ port: Int) -> RESPValue {
        .array([.string(ByteBuffer(string: host)), .integer(port), .string(ByteBuffer(string: "id"))])
    }

    @Test func `the map says where each slot is, and whether one is missing`() throws {
        let reply = RESPValue.array([
            .array([.integer(0), .integer(8_000), node("10.0.0.1", 7000), node("10.0.0.9", 7000)]),
            .array([.integer(8_001), .integer(16_382), node("", 7001)]),
        ])
        var slots = try #require(ClusterSlots(reply, from: "10.0.0.5"))
        #expect(slots.address(of: 8_000) == .init(host: "10.0.0.1", port: 7000))
        #expect(slots.address(of: 8_001) == .init(host: "10.0.0.5", port: 7001))
        #expect(slots.address(of: 16_383) == nil && !slots.isComplete)
        slots.set(16_383, to: .init(host: "10.0.0.2", port: 7002))
        #expect(slots.isComplete && slots.nodes.count == 3)
        #expect(slots.address(of: 16_384) == nil && slots.address(of: -1) == nil)
    }

    /// What a node says: thirds of the slots, and how many replicas each has.
    private func view(_ hosts: [String], replicas: Int = 1) throws -> ClusterSlots {
        let thirds = [(0, 5460), (5461, 10_922), (10_923, 16_383)]
        let ranges = zip(thirds, hosts).map { slots, host in
            RESPValue.array(
                [.integer(slots.0), .integer(slots.1), node(host, 1)] + (0..<replicas).map { node("r\($0)", 1) })
        }
        return try #require(ClusterSlots(.array(ranges), from: "h"))
    }

    @Test func `a node that was cut off from the others is outvoted`() throws {
        let before = try view(["a", "b", "c"])
        let after = try view(["new", "b", "c"], replicas: 0)
        #expect(before.agreement(of: [before, after, after]).address(of: 0)?.host == "new")
        #expect(before.agreement(of: [after, after]).address(of: 0)?.host == "new")
        // One of three is no majority, whatever it says; neither is nobody.
        #expect(before.agreement(of: [after]).address(of: 0)?.host == "a")
        #expect(before.agreement(of: [before, after]).address(of: 0)?.host == "a")
        #expect(before.agreement(of: []).isSameMap(as: before))
        // At first, whoever answers is believed.
        #expect(ClusterSlots().agreement(of: [after]).isSameMap(as: after))
    }

    @Test func `a replica counts while one node still counts it`() throws {
        let both = try view(["a", "b", "c"], replicas: 2)
        let one = try view(["a", "b", "c"], replicas: 1)
        #expect(both.agreement(of: [one, both, one]).replicas(of: .init(host: "b", port: 1)) == 2)
        #expect(both.agreement(of: [one, one, one]).replicas(of: .init(host: "b", port: 1)) == 1)
    }

    @Test func `a reply that is no map is none`() {
        for ranges: [RESPValue] in [
            [.integer(1)], [.array([.integer(0), .integer(16_384), node("a", 1)])],
            [.array([.integer(5), .integer(4), node("a", 1)])],
            [.array([.integer(0), .integer(1), node("a", 70_000)])],
            [.array([.integer(0), .integer(1)])],
        ] {
            #expect(ClusterSlots(.array(ranges), from: "h") == nil)
        }
        #expect(ClusterSlots(.error("ERR"), from: "h") == nil)
    }

    @Test func `a reply costs no more work than there are slots and nodes`() {
        let everything = RESPValue.array([.integer(0), .integer(16_383), node("a", 1)])
        #expect(ClusterSlots(.array([everything, everything]), from: "h") == nil)
        let slots = (0..<16_384).map { RESPValue.array([.integer($0), .integer($0), node("a\($0)", 1)]) }
        #expect(ClusterSlots(.array(slots), from: "h") == nil)
        #expect(ClusterSlots(.array(Array(slots.prefix(1000))), from: "h")?.nodes.count == 1000)
    }

    @Test(
        arguments: [
            ("MOVED 3999 127.0.0.1:6381", .moved(slot: 3999, .init(host: "127.0.0.1", port: 6381))),
            ("ASK 3999 [::1]:6381", .ask(.init(host: "[::1]", port: 6381))),
            ("MOVED 3999 :6381", .moved(slot: 3999, .init(host: "seed", port: 6381))),
            ("MOVED x", .other), ("MOVED 1 host:99999", .other), ("NOSCRIPT No matching script", .unknownScript),
            ("READONLY You can't write", .wrongServer), ("LOADING Redis is loading", .wrongServer),
            ("CLUSTERDOWN Hash slot not served", .clusterDown), ("OOM command not allowed", .full), ("ERR x", .other),
            ("", .other),
        ] as [(String, RedisRefusal)])
    func `an error says what is to be done about it`(text: String, refusal: RedisRefusal) {
        #expect(RedisRefusal(text, from: "seed") == refusal)
    }
}
