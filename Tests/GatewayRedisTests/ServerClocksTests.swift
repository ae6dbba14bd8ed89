import NIOCore
import Testing

@testable import GatewayRedis

@Suite struct ServerClocksTests {
    private let one = RedisConfiguration.Address(host: "a", port: 1)
    private let other = RedisConfiguration.Address(host: "b", port: 1)

    private func reply(_ seconds: Int, _ microseconds: Int = 0) -> RESPValue {
        .array([seconds, microseconds].map { .string(ByteBuffer(string: "\($0)")) })
    }

    private func at(_ seconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .seconds(seconds) }

    @Test func `a clock that goes as time does, slow replies and another server's clock are no jump`() {
        var clocks = ServerClocks()
        #expect(clocks.note(reply(1_000_000), of: one, at: at(10)) == nil)
        #expect(clocks.note(reply(1_000_001, 999_999), of: one, at: at(11)) == nil)
        #expect(clocks.note(reply(1_000_600), of: one, at: at(610)) == nil, "nothing was looked at for ten minutes")
        #expect(clocks.note(reply(5), of: other, at: at(611)) == nil)
        #expect(clocks.note(reply(1_000_602), of: one, at: at(612)) == nil)
    }

    @Test func `forward and backward are noticed once each`() {
        var clocks = ServerClocks()
        #expect(clocks.note(reply(1_000_000), of: one, at: at(10)) == nil)
        #expect(clocks.note(reply(1_007_201), of: one, at: at(11)) == .seconds(7200))
        #expect(clocks.note(reply(1_007_202), of: one, at: at(12)) == nil)
        #expect(clocks.note(reply(1_000_003), of: one, at: at(13)) == .seconds(-7200))
    }

    @Test(arguments: [
        RESPValue.null, .error("ERR"), .array([]), .array([.integer(1), .integer(2)]),
        .array([.string(ByteBuffer(string: "99999999999999999")), .string(ByteBuffer(string: "0"))]),
        .array([.string(ByteBuffer(string: "-1")), .string(ByteBuffer(string: "0"))]),
    ])
    func `what is no time says nothing`(reply: RESPValue) {
        var clocks = ServerClocks()
        #expect(clocks.note(reply, of: one, at: at(1)) == nil)
        #expect(clocks.note(reply, of: one, at: at(2)) == nil)
    }
}
