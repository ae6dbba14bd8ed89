import NIOCore
import Testing

@testable import GatewayRedis

@Suite struct SentinelReportTests {
    private func text(_ text: String) -> RESPValue { .string(ByteBuffer(string: text)) }

    private func map(_ members: KeyValuePairs<String, String>) -> RESPValue {
        .array(members.flatMap { [text($0.key), text($0.value)] })
    }

    private func replica(_ number: Int) -> RedisConfiguration.Address { .init(host: "10.0.0.\(number)", port: 1) }

    private func report(
        _ port: Int, replicas: [Int] = [2], candidates: [Int]? = nil, downAfter: Duration = .seconds(1)
    ) -> SentinelReport {
        SentinelReport(
            address: .init(host: "10.0.0.1", port: port), replicas: Set(replicas.map(replica)),
            candidates: Set((candidates ?? replicas).map(replica)), downAfter: downAfter)
    }

    @Test func `the majority of all Sentinels counts, also of those that do not answer`() {
        #expect(SentinelReport.agreement([report(1), report(1), report(2)])?.address.port == 1)
        #expect(SentinelReport.agreement([nil, report(1), report(1)])?.address.port == 1)
        #expect(SentinelReport.agreement([nil, nil, report(1)]) == nil)
        #expect(SentinelReport.agreement([report(1), report(2), nil]) == nil)
        #expect(SentinelReport.agreement([report(1), report(2)]) == nil)
        #expect(SentinelReport.agreement([report(1)]) == report(1))
        #expect(SentinelReport.agreement([]) == nil)
    }

    @Test func `of those who agree the most cautious counts`() {
        let agreed = SentinelReport.agreement([
            report(1, replicas: [2, 3], candidates: [2], downAfter: .seconds(5)),
            report(1, replicas: [2, 3], candidates: [3], downAfter: .seconds(9)),
            report(2, replicas: [4], downAfter: .seconds(1)),
        ])
        #expect(agreed == report(1, replicas: [2, 3], downAfter: .seconds(5)))
    }

    @Test func `a replica that is cut off together with its master does not stand for the one that is promoted`() {
        // The master sees the one, the Sentinels the other.
        #expect(report(1, replicas: [2, 3], candidates: [3]).confirmations(connected: [replica(2)]) == 2)
        // Behind a failover, with the old master down, nobody is waited for who cannot answer.
        #expect(report(1, replicas: [2, 3], candidates: [3]).confirmations(connected: [replica(3)]) == 1)
        #expect(report(1, replicas: [2, 3], candidates: []).confirmations(connected: []) == 0)
        // A master that does not say who is connected is not believed to have anybody.
        #expect(report(1, replicas: [2, 3], candidates: [3]).confirmations(connected: nil) == 2)
    }

    @Test func `the replicas that are connected are read from what the server says of itself`() {
        let text =
            "role:master\r\nconnected_slaves:2\r\nslave0:ip=10.0.0.2,port=1,state=online,offset=1,lag=0\r\n"
            + "slave1:ip=10.0.0.3,port=1,state=wait_bgsave\r\nslave_repl_offset:1\r\nslave2:ip=x\r\nslaves:ip=a,port=9\r\n"
        #expect(ServerInformation(text).replicas == [replica(2), replica(3)])
    }

    @Test func `replicas count that could become the master`() throws {
        let replicas = RESPValue.array([
            map(["ip": "10.0.0.2", "port": "1", "flags": "slave", "slave-priority": "100"]),
            map(["ip": "10.0.0.3", "port": "1", "flags": "slave,s_down,disconnected", "slave-priority": "100"]),
            map(["ip": "10.0.0.4", "port": "1", "flags": "slave", "slave-priority": "0"]),
            // During a failover the new master is still listed.
            map(["ip": "10.0.0.1", "port": "7", "flags": "slave,promoted", "slave-priority": "100"]),
        ])
        let report = SentinelReport(
            address: .array([text("10.0.0.1"), text("7")]), master: map(["down-after-milliseconds": "1500"]),
            replicas: replicas)
        #expect(
            report
                == SentinelReport(
                    address: .init(host: "10.0.0.1", port: 7), replicas: [replica(2), replica(3), replica(4)],
                    candidates: [replica(2)], downAfter: .milliseconds(1500)))
    }

    @Test func `what does not know the master is no report`() {
        for address: RESPValue in [
            .null, .error("ERR"), .array([]), .array([text("h")]), .array([text("h"), text("0")]),
            .array([text("h"), text("x")]), .array([text("h"), text("70000")]),
        ] {
            #expect(SentinelReport(address: address, master: .null, replicas: .null) == nil)
        }
    }
}
