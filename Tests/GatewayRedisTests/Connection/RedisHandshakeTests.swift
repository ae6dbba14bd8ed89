import NIOCore
import Testing

@testable import GatewayRedis

@Suite struct RedisHandshakeTests {
    private func handshake(
        _ role: RedisHandshake.Role = .records, _ credentials: RedisConfiguration.Credentials? = nil, database: Int = 0,
        after predecessor: RedisIdentity? = nil
    ) -> RedisHandshake {
        RedisHandshake(role, credentials: credentials, database: database, clientName: "gw", predecessor: predecessor)
    }

    private func string(_ text: String) -> RESPValue { .string(ByteBuffer(string: text)) }

    private func hello(id: Int) -> RESPValue { .array([string("id"), .integer(id)]) }

    @Test func `with RESP3 it takes two exchanges`() {
        var handshake = handshake()
        #expect(handshake.start() == ["HELLO", "3", "SETNAME", "gw"])
        #expect(handshake.received(hello(id: 7)) == .send(["INFO"]))
        #expect(
            handshake.received(
                string("run_id:abc\r\nrole:master\r\nloading:0\r\nslave0:ip=10.0.0.2,port=7,state=online\r\n"))
                == .ready(RedisIdentity(runID: "abc", clientID: 7, replicas: [.init(host: "10.0.0.2", port: 7)])))
    }

    @Test func `a server of the older protocol is spoken to in it`() {
        var handshake = handshake(.records, .init(username: "u", password: "p"), database: 2)
        #expect(handshake.start() == ["HELLO", "3", "AUTH", "u", "p", "SETNAME", "gw"])
        #expect(handshake.received(.error("ERR unknown command 'HELLO'")) == .send(["AUTH", "u", "p"]))
        #expect(handshake.received(string("OK")) == .send(["CLIENT", "SETNAME", "gw"]))
        #expect(handshake.received(.error("NOPERM")) == .send(["CLIENT", "ID"]))
        #expect(handshake.received(.integer(9)) == .send(["SELECT", "2"]))
        #expect(handshake.received(string("OK")) == .send(["INFO"]))
        #expect(handshake.received(.error("NOPERM")) == .ready(RedisIdentity(runID: "", clientID: 9)))
    }

    @Test(arguments: [
        ("role:slave\r\nrun_id:a", "it is a replica"), ("loading:1\r\nrole:master", "it is loading its data"),
    ])
    func `a server that cannot keep records is left`(information: String, reason: String) {
        var handshake = handshake()
        _ = handshake.received(hello(id: 1))
        #expect(handshake.received(string(information)) == .failed(reason))
    }

    @Test func `a node of a cluster may be a replica, and a Sentinel is not asked what it is`() {
        var node = handshake(.clusterNode, nil, database: 3)
        _ = node.received(hello(id: 1))
        #expect(node.received(string("role:slave")) == .ready(RedisIdentity(runID: "", clientID: 1, replicas: [])))
        var sentinel = handshake(.sentinel)
        #expect(sentinel.received(hello(id: 1)) == .ready(RedisIdentity(runID: "", clientID: 1)))
    }

    @Test func `a wrong password fails, and is in no message`() {
        var handshake = handshake(.records, .init(password: "canary"))
        #expect(handshake.start().contains("canary"))
        #expect(
            handshake.received(.error("WRONGPASS canary")) == .failed("it refuses the connection: WRONGPASS"))
    }

    @Test func `what an earlier connection may have left is decided first, on the same server only`() {
        let predecessor = RedisIdentity(runID: "abc", clientID: 4)
        var same = handshake(after: predecessor)
        _ = same.received(hello(id: 7))
        #expect(same.received(string("run_id:abc\r\nrole:master")) == .send(["CLIENT", "KILL", "ID", "4"]))
        #expect(same.received(.integer(0)) == .ready(RedisIdentity(runID: "abc", clientID: 7, replicas: [])))
        var restarted = handshake(after: predecessor)
        _ = restarted.received(hello(id: 7))
        #expect(
            restarted.received(string("run_id:xyz\r\nrole:master"))
                == .ready(RedisIdentity(runID: "xyz", clientID: 7, replicas: [])))
    }
}
