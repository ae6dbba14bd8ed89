import GatewayCore
import GatewayRedis
import NIOCore
import NIOPosix
import StoreContract
import TestSupport
import Testing

/// What becomes of claims and records while a real Redis is stalled, killed, wiped, full, demoted or failed over.
@Suite struct RedisFaultTests {
    private static let accepted = AcceptedResponse(status: 202, region: .europe, requestID: .uuid(1, 2))

    private func claim(_ number: UInt64, owner: UInt64 = 1) -> IdempotencyClaim {
        IdempotencyClaim(
            scope: IdempotencyScope(words: (number, 2, 3, 4)), fingerprint: RequestFingerprint(words: (number, 0)),
            owner: AttemptID(origin: 1, number: owner), lease: .seconds(60), retention: .seconds(600), consent: false)
    }

    private func with(
        _ configuration: RedisConfiguration, health: RedisHealth? = nil,
        whenUnavailable: SharedIdempotencyStore.WhenUnavailable = .refuse, _ body: (StoreOnLoop) async throws -> Void
    ) async throws {
        let store = try await StoreOnLoop(
            configuration, on: MultiThreadedEventLoopGroup.singleton.next(), health: health,
            whenUnavailable: whenUnavailable)
        try await store.untilUp()
        try await body(store)
        try await store.close()
    }

    private func with(
        _ server: RedisProcess, health: RedisHealth? = nil,
        whenUnavailable: SharedIdempotencyStore.WhenUnavailable = .refuse,
        change: (inout RedisConfiguration) -> Void = { _ in }, _ body: (StoreOnLoop) async throws -> Void
    ) async throws {
        var configuration = RedisConfiguration(addresses: [.init(host: "127.0.0.1", port: server.port)])
        change(&configuration)
        try await RedisShape.with(server) { _ in
            try await with(configuration, health: health, whenUnavailable: whenUnavailable, body)
        }
    }

    @Test func `stalled: the claim fails, and what it left behind is released once the server goes on`() async throws {
        let server = try RedisProcess.plain()
        try await with(server) { store in
            await server.stall()
            #expect(try await store.claim(claim(1)) == .storeUnavailable)
            #expect(try await store.claim(claim(2)) == .storeUnavailable)
            try await store.settle(claim(3), .accepted(Self.accepted))
            #expect(try await store.statistics.backlog >= 2)
            await server.resume()
            try await until { try await store.statistics.backlog == 0 }
            #expect(try await store.report(claim(1).scope) == KeyReport(.absent))
            #expect(try await store.claim(claim(1, owner: 2)) == .owned)
            #expect(try await store.claim(claim(3, owner: 2)) == .accepted(Self.accepted))
        }
    }

    @Test func `killed: nothing is owned meanwhile, and all is as before once it is back`() async throws {
        let server = try RedisProcess.durable()
        try await with(server) { store in
            #expect(try await store.claim(claim(1)) == .owned)
            #expect(try await store.claim(claim(2)) == .owned)
            try await store.settle(claim(1), .accepted(Self.accepted))
            await server.kill()
            #expect(try await store.claim(claim(3)) == .storeUnavailable)
            try await store.settle(claim(2), .released)
            try await server.start()
            try await until { try await store.statistics.backlog == 0 }
            #expect(try await store.claim(claim(1, owner: 2)) == .accepted(Self.accepted))
            #expect(try await store.claim(claim(2, owner: 2)) == .owned)
        }
    }

    @Test func `killed: who waits is told the same as the caller, that the record is not confirmed`() async throws {
        let server = try RedisProcess.durable()
        try await with(server) { store in
            #expect(try await store.claim(claim(1)) == .owned)
            await server.kill()
            let (claim, duplicate, loop) = (claim(1), claim(1, owner: 2), store.eventLoop)
            let (waiting, settling) = try await store.read {
                let waiting = $0.resultOfAttemptInFlight(duplicate, on: loop)
                let result = AttemptResult(Self.accepted)
                return (waiting, $0.settle(claim, .accepted(Self.accepted), result: result, on: loop))
            }
            #expect(try await settling.get() == .pending)
            #expect(try await waiting.get()?.isPending == true)
        }
    }

    @Test func `a server that has forgotten the scripts gets them again`() async throws {
        let server = try RedisProcess.plain()
        try await with(server) { store in
            for number in 1...3 as ClosedRange<UInt64> {
                try server.command("SCRIPT", "FLUSH")
                #expect(try await store.claim(claim(number)) == .owned)
                try await store.settle(claim(number), .released)
                #expect(try await store.report(claim(number).scope) == KeyReport(.absent))
            }
            #expect(try await store.statistics.failures[.settle] == nil)
        }
    }

    @Test func `a wipe is noticed and counted`() async throws {
        let server = try RedisProcess.plain()
        let health = RedisHealth()
        try await with(server, health: health) { store in
            try await until { try server.command("GET", "skillgate:epoch") != "" }
            #expect(health.current.wipes == 0)
            await server.kill()
            try await server.start()
            try await until { store.events.all.contains { if case .wiped = $0 { true } else { false } } }
            #expect(health.current.wipes == 1)
            try server.command("FLUSHALL")
            try server.command("CLIENT", "KILL", "TYPE", "normal")
            try await until { health.current.wipes == 2 }
        }
    }

    @Test func `a wipe that nobody restarted for is noticed within a second or two`() async throws {
        let server = try RedisProcess.plain()
        let health = RedisHealth()
        try await with(server, health: health) { store in
            try server.command("FLUSHALL")
            try await until { health.current.wipes == 1 }
            // By another event loop's claim, too, and still once.
            try server.command("FLUSHALL")
            #expect(try await store.claim(claim(1)) == .owned)
            try await until { health.current.wipes == 2 }
        }
    }

    @Test func `told to hold, nothing is sent that a wiped store may have forgotten`() async throws {
        let server = try RedisProcess.plain()
        let health = RedisHealth()
        let hold: (inout RedisConfiguration) -> Void = {
            $0.onStoreWiped = .hold
            $0.retention = .seconds(3600)
        }
        try await RedisShape.with(server) { server in
            // What has made an epoch before is no first start.
            try server.command("SET", "skillgate:epoch", "made")
            var configuration = RedisConfiguration(addresses: [.init(host: "127.0.0.1", port: server.port)])
            hold(&configuration)
            try await with(configuration, health: health) { store in
                #expect(try await store.claim(claim(1)) == .owned)
                try await store.settle(claim(1), .accepted(Self.accepted))
                try server.command("FLUSHALL")
                #expect(try await store.claim(claim(1, owner: 2)) == .storeUnavailable)
                #expect(try await store.claim(claim(2)) == .storeUnavailable)
                try await until { health.current.wipes == 1 && health.current.isHeld }
                // What is known since then is answered, and nobody's claim stays behind.
                try await store.settle(claim(3), .accepted(Self.accepted))
                #expect(try await store.claim(claim(3, owner: 2)) == .accepted(Self.accepted))
                try await until { try await store.statistics.backlog == 0 }
                #expect(try await store.report(claim(2).scope) == KeyReport(.absent))
                // Every other gateway holds, too, for as long.
                let other = RedisHealth()
                try await with(configuration, health: other) { (store: StoreOnLoop) async throws in
                    #expect(try await store.claim(claim(2)) == .storeUnavailable)
                    #expect(other.current.isHeld)
                }
                try server.command("SET", "skillgate:epoch", "an operator's word")
                try await until { try await store.claim(claim(2)) == .owned }
                try await until { !health.current.isHeld }
                #expect(health.current.wipes == 1)
            }
        }
    }

    @Test(arguments: [["SET", "skillgate:epoch", "older"], ["RPUSH", "skillgate:epoch", "x"], []])
    func `told to hold, nothing is sent whatever stands in for the records that are gone`(left: [String]) async throws {
        let server = try RedisProcess.plain()
        let health = RedisHealth()
        try await RedisShape.with(server) { server in
            try server.command("SET", "skillgate:epoch", "made")
            var configuration = RedisConfiguration(addresses: [.init(host: "127.0.0.1", port: server.port)])
            configuration.onStoreWiped = .hold
            // Neither is it deduplicated by this process alone: the store is there.
            try await with(
                configuration, health: health, whenUnavailable: .forward(MemoryIdempotencyStore(eventLoops: 16))
            ) { (store: StoreOnLoop) async throws in
                #expect(try await store.claim(claim(1)) == .owned)
                try server.command("FLUSHALL")
                if !left.isEmpty { _ = try server.command(arguments: left) }
                for number in 1...30 as ClosedRange<UInt64> {
                    #expect(try await store.claim(claim(number, owner: 2)) == .storeUnavailable, "\(left)")
                }
                // What is known to be in doubt is the caller's to send again.
                try await store.settle(claim(50), .accepted(Self.accepted))
                #expect(try await store.claim(claim(50, owner: 2)) == .accepted(Self.accepted))
            }
        }
    }

    @Test func `told to hold, a store that is found empty is not trusted before somebody says so`() async throws {
        let server = try RedisProcess.plain()
        try await with(server, change: { $0.onStoreWiped = .hold }) { (store: StoreOnLoop) async throws in
            #expect(try await store.claim(claim(1)) == .storeUnavailable)
            #expect(store.events.all.contains { if case .notAdopted = $0 { true } else { false } })
        }
    }

    @Test func `a node of a cluster that is wiped is noticed, whichever it is`() async throws {
        try await RedisClusterBed.run { bed in
            let health = RedisHealth()
            try await with(bed.configuration, health: health) { store in
                for (number, node) in bed.nodes.enumerated() {
                    // Each node has a key of its own that tells.
                    try await until { try node.command("KEYS", "skillgate:*epoch").contains("epoch") }
                    try node.command("FLUSHALL")
                    try await until { health.current.wipes == number + 1 }
                }
            }
        }
    }

    @Test func `a server's clock that jumps is noticed, and its replies do not become waits of hours`() async throws {
        let server = try RedisProcess.plain()
        try await with(server) { store in
            let key = "skillgate:AAAAAAAAAAEAAAAAAAAAAgAAAAAAAAADAAAAAAAAAAQ"
            #expect(try await store.claim(claim(1)) == .owned)
            // As if the clock had gone back by two hours since.
            try server.command("PEXPIRE", key, "7800000")
            guard case .inFlight(let left) = try await store.claim(claim(1, owner: 2)) else {
                Issue.record("it was given away")
                return
            }
            #expect(left <= .seconds(60))
        }
    }

    @Test func `a slow server is waited for: a late reply ends nothing`() async throws {
        let server = try RedisProcess.plain()
        try await with(server, change: { $0.commandTimeout = .milliseconds(500) }) { store in
            let before = store.events.all.count
            // No command is answered for longer than one may take, and for less than two take, which a dead connection is known by.
            try server.command("CLIENT", "PAUSE", "750")
            #expect(try await store.claim(claim(1)) == .storeUnavailable)
            try await until { try await store.statistics.backlog == 0 }
            #expect(try await store.claim(claim(1, owner: 2)) == .owned)
            #expect(store.events.all.count == before, "\(store.events.all)")
        }
    }

    @Test func `the server's settings are looked at`() async throws {
        let careless = RedisHealth()
        try await with(
            RedisProcess.plain(["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]), health: careless
        ) { store in
            try await until { store.events.all.count { if case .unsafe = $0 { true } else { false } } == 2 }
            #expect(careless.current.settings == [.maxmemoryPolicy: false, .persistence: false])
        }
        let careful = RedisHealth()
        try await with(RedisProcess.durable(), health: careful) { _ in
            try await until { careful.current.settings.count == 3 }
            #expect(careful.current.settings == [.maxmemoryPolicy: true, .persistence: true, .appendfsync: true])
        }
    }

    @Test func `full: no claim, and records at hand stay`() async throws {
        let server = try RedisProcess.plain()
        try await with(server) { store in
            #expect(try await store.claim(claim(1)) == .owned)
            try server.command("CONFIG", "SET", "maxmemory", "1")
            #expect(try await store.claim(claim(2)) == .storeFull)
            guard case .inFlight = try await store.claim(claim(1, owner: 2)) else {
                Issue.record("a record was forgotten")
                return
            }
            // What became of a message finds room.
            #expect(try await store.settle(claim(1), .accepted(Self.accepted)) == .confirmed)
            #expect(try await store.claim(claim(1, owner: 2)) == .accepted(Self.accepted))
        }
    }

    @Test func `full: an outcome that is unknown is kept, too`() async throws {
        let server = try RedisProcess.plain()
        try await with(server) { store in
            #expect(try await store.claim(claim(1)) == .owned)
            try server.command("CONFIG", "SET", "maxmemory", "1")
            #expect(try await store.settle(claim(1), .unknown) == .confirmed)
            #expect(try await store.claim(claim(1, owner: 2)) == .unknown)
        }
    }

    @Test func `what a resend was refused with is told to those who wait on other replicas`() async throws {
        let server = try RedisProcess.plain()
        try await with(server) { store in
            let other = try await StoreOnLoop(
                RedisConfiguration(addresses: [.init(host: "127.0.0.1", port: server.port)]),
                on: MultiThreadedEventLoopGroup.singleton.next())
            try await other.untilUp()
            #expect(try await store.claim(claim(1)) == .owned)
            try await store.settle(claim(1), .unknown)
            var resend = claim(1, owner: 2)
            resend.consent = true
            #expect(try await store.claim(resend) == .owned)
            var second = claim(1, owner: 3)
            second.consent = true
            guard case .inFlight = try await other.claim(second) else {
                Issue.record("two resends at once")
                return
            }
            async let result = other.result(of: second)
            try await store.settle(resend, .refused(status: 429))
            #expect(try await result?.response.get().status == 429)
            #expect(try await other.claim(claim(1, owner: 4)) == .unknown)
            try await other.close()
        }
    }

    @Test func `demoted to a replica, it is left, and used again when it is a master`() async throws {
        let server = try RedisProcess.plain()
        let other = try RedisProcess.plain()
        try await RedisShape.with(other) { other in
            try await with(server) { store in
                try server.command("REPLICAOF", "127.0.0.1", String(other.port))
                #expect(try await store.claim(claim(1)) == .storeUnavailable)
                try await until { store.events.all.contains { "\($0)".contains("it is a replica") } }
                #expect(try await store.claim(claim(1)) == .storeUnavailable)
                try server.command("REPLICAOF", "NO", "ONE")
                try await until { try await store.claim(claim(1)) == .owned }
            }
        }
    }

    @Test func `what is no record under a record's key is left alone`() async throws {
        let server = try RedisProcess.plain()
        try await with(server) { store in
            let key = "skillgate:AAAAAAAAAAEAAAAAAAAAAgAAAAAAAAADAAAAAAAAAAQ"
            try server.command("SET", key, "something of somebody else")
            #expect(try await store.claim(claim(1)) == .storeUnavailable)
            try server.command("DEL", key)
            try server.command("LPUSH", key, "a list")
            #expect(try await store.claim(claim(1)) == .storeUnavailable)
            #expect(try server.command("LLEN", key) == "1")
        }
    }

    @Test func `told to forward, this process deduplicates alone, and tells the server afterwards`() async throws {
        let server = try RedisProcess.durable()
        try await with(server, whenUnavailable: .forward(MemoryIdempotencyStore(eventLoops: 16))) { store in
            #expect(try await store.reply(claim(1)) == ClaimReply(.owned, .redis))
            try await store.settle(claim(1), .released)
            await server.kill()
            #expect(try await store.reply(claim(1)) == ClaimReply(.owned, .memory))
            guard case .inFlight = try await store.claim(claim(1, owner: 2)) else {
                Issue.record("sent twice by one process")
                return
            }
            try await store.settle(claim(1), .accepted(Self.accepted))
            #expect(try await store.reply(claim(1, owner: 3)) == ClaimReply(.accepted(Self.accepted), .memory))
            try await server.start()
            try await until { try await store.statistics.backlog == 0 }
            #expect(try await store.reply(claim(1, owner: 4)) == ClaimReply(.accepted(Self.accepted), .redis))
        }
    }

    @Test func `without the replicas that are waited for nothing is owned, and nothing stays behind`() async throws {
        let server = try RedisProcess.plain()
        try await with(server, change: { $0.waitReplicas = 1 }) { store in
            #expect(try await store.claim(claim(1)) == .storeUnavailable)
            let replica = try RedisProcess.plain(["--replicaof", "127.0.0.1", String(server.port)])
            try await RedisShape.with(replica) { _ in
                try await until { try server.replicates(to: 1) }
                try await until { try await store.statistics.backlog == 0 }
                #expect(try await store.claim(claim(1, owner: 2)) == .owned)
                #expect(try await store.statistics.failures[.settleGivenUp] == 0)
            }
        }
    }

    @Test func `a wrong password, a wrong certificate and a closed port are named, and asked again`() async throws {
        let server = try RedisProcess.plain(["--requirepass", "right"])
        try await RedisShape.with(server) { server in
            for (change, word) in [
                ({ $0.credentials = .init(password: "wrong") }, "WRONGPASS"), ({ _ in }, "NOAUTH"),
                ({ $0.tls = .init() }, "timed out"), ({ $0.addresses[0].port = 1 }, "refused"),
            ] as [((inout RedisConfiguration) -> Void, String)] {
                var configuration = RedisConfiguration(addresses: [.init(host: "127.0.0.1", port: server.port)])
                change(&configuration)
                let store = try await StoreOnLoop(configuration, on: MultiThreadedEventLoopGroup.singleton.next())
                try await until { store.events.all.count > 1 }
                #expect("\(store.events.all[0])".contains(word), "\(store.events.all[0])")
                #expect(try await store.claim(claim(1)) == .storeUnavailable)
                try await store.close()
            }
        }
    }

    @Test func `a master that the Sentinels have left is left, though it answers`() async throws {
        try await SentinelBed.run { bed in
            try await with(bed.configuration) { store in
                try await until { try await store.claim(claim(1)) == .owned }
                // Two of three watch another master from now on; the old one knows nothing of it.
                let other = try RedisProcess.plain()
                try await RedisShape.with(other) { other in
                    for sentinel in bed.sentinels.prefix(2) {
                        try sentinel.command("SENTINEL", "REMOVE", "records")
                        try sentinel.command("SENTINEL", "MONITOR", "records", "127.0.0.1", String(other.port), "2")
                    }
                    try await until { try other.command("KEYS", "*").contains("skillgate:epoch") }
                    try await until { try await store.claim(claim(2)) == .owned }
                    #expect(store.events.all.contains { "\($0)".contains("name another master") })
                }
            }
        }
    }

    @Test func `a master that no majority of the Sentinels confirms is not written to`() async throws {
        try await SentinelBed.run { bed in
            try await with(bed.configuration) { store in
                try await until { try await store.claim(claim(1)) == .owned }
                for sentinel in bed.sentinels.prefix(2) { await sentinel.kill() }
                try await until { try await store.claim(claim(2)) == .storeUnavailable }
                // On a busy machine, a connection that was lost may be the first reason.
                try await until { store.events.all.contains { "\($0)".contains("no majority of the Sentinels") } }
            }
        }
    }

    @Test func `failed over by Sentinel, records and service go on at the new master`() async throws {
        try await SentinelBed.run { bed in
            var configuration = bed.configuration
            configuration.waitReplicas = .all
            try await with(configuration) { store in
                try await until { try await store.claim(claim(1)) == .owned }
                try await until {
                    try await store.settle(claim(1), .accepted(Self.accepted))
                    return try await store.statistics.backlog == 0
                }
                let before = try bed.masterPort()
                try bed.sentinels[0].command("SENTINEL", "FAILOVER", "records")
                try await until { try bed.masterPort() != before }
                try await until { try await store.claim(claim(1, owner: 2)) == .accepted(Self.accepted) }
                // The old master comes back as the new one's replica, and then there is one to wait for again.
                try await until { try await store.claim(claim(2)) == .owned }
            }
        }
    }
}
