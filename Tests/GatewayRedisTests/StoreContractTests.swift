import GatewayCore
import GatewayRedis
import NIOCore
import NIOPosix
import StoreContract
import Testing

@Suite struct StoreContractTests {
    private func loops() -> (any EventLoop, any EventLoop) {
        let group = MultiThreadedEventLoopGroup.singleton
        return (group.next(), group.next())
    }

    @Test func `records in memory keep the contract`() async throws {
        let store = MemoryIdempotencyStore(eventLoops: 16)
        let (one, other) = loops()
        try await StoreContract(one: StoreOnLoop(store, on: one), other: StoreOnLoop(store, on: other)).check()
    }

    @Test(arguments: RedisShape.all)
    func `records on Redis keep the contract`(shape: RedisShape) async throws {
        try await shape.run { configuration in
            // What is tested here is what stores say, not how soon: a machine that is busy breaks no contract.
            var configuration = configuration
            configuration.commandTimeout = .seconds(5)
            configuration.stepTimeout = .seconds(10)
            configuration.connectTimeout = .seconds(10)
            let (one, other) = loops()
            let contract = StoreContract(
                one: try await StoreOnLoop(configuration, on: one),
                other: try await StoreOnLoop(configuration, on: other))
            try await contract.one.untilUp()
            try await contract.other.untilUp()
            try await contract.check()
            for store in [contract.one, contract.other] {
                let failures = try await store.statistics.failures
                #expect(failures[.claim] == nil && failures[.settle] == nil, "\(failures) \(store.events.all)")
                try await store.close()
            }
        }
    }

    @Test func `claims by script, for servers before 7.0, keep the contract`() async throws {
        try await RedisShape.plain.run { configuration in
            let (one, other) = loops()
            let contract = StoreContract(
                one: try await StoreOnLoop(configuration, on: one, claimsByScript: true),
                other: try await StoreOnLoop(configuration, on: other, claimsByScript: true))
            try await contract.one.untilUp()
            try await contract.other.untilUp()
            try await contract.check()
            try await contract.one.close()
            try await contract.other.close()
        }
    }
}
