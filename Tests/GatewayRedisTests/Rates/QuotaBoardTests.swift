import Foundation
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import GatewayCore
@testable import GatewayRedis

/// Replicas that tell each other of a throttled skill by a real Redis.
@Suite(.serialized) struct QuotaBoardTests {
    private struct Replica {
        let board: RedisQuotaBoard
        let eventLoop: any EventLoop
        let client: NIOLoopBound<RedisClient>

        init(_ name: String, port: Int, on eventLoop: any EventLoop) async throws {
            self.eventLoop = eventLoop
            (board, client) = try await eventLoop.submit {
                let client = try RedisClient(
                    RedisConfiguration(addresses: [.init(host: "127.0.0.1", port: port)]), clientName: name,
                    eventLoop: eventLoop, vouches: false,
                    unixMilliseconds: { Int(Date().timeIntervalSince1970 * 1000) }, onEvent: { _ in })
                return (
                    RedisQuotaBoard(client, replica: name), NIOLoopBound(client, eventLoop: eventLoop)
                )
            }.get()
        }

        func exchange(_ report: QuotaReport, of skill: String = "weather") async -> [QuotaReport]? {
            await withCheckedContinuation { continuation in
                board.exchange(report, of: skill, in: .europe) { continuation.resume(returning: $0) }
            }
        }

        func close() async throws { try await eventLoop.submit { client.value.shutDown() }.get() }
    }

    private static func report(_ id: String) -> QuotaReport {
        QuotaReport(
            estimate: 190.5, noise: 0.03, noiseLeft: 500, letThrough: 7, throttled: 8,
            callers: [.init(id: id, weight: 2, wanted: 12.5, letThrough: 3, throttled: 4, isThrottled: true)])
    }

    private func with(_ body: (RedisProcess, Replica, Replica) async throws -> Void) async throws {
        let redis = try RedisProcess.plain()
        try await redis.start()
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let one = try await Replica("one", port: redis.port, on: eventLoop)
        let two = try await Replica("two", port: redis.port, on: eventLoop)
        do {
            // Until both are connected.
            while await one.exchange(Self.report("a")) == nil { await Task.yield() }
            while await two.exchange(Self.report("b")) == nil { await Task.yield() }
            try await body(redis, one, two)
        } catch {
            await redis.stop()
            throw error
        }
        try await one.close()
        try await two.close()
        await redis.stop()
    }

    @Test func `each reads what the others have put up last, by skill`() async throws {
        try await with { _, one, two in
            #expect(await one.exchange(Self.report("a")) == [Self.report("b")])
            #expect(await two.exchange(Self.report("c")) == [Self.report("a")])
            #expect(await one.exchange(Self.report("a")) == [Self.report("c")])
            #expect(await one.exchange(Self.report("a"), of: "news") == [])
        }
    }

    @Test func `what is old, or no report, is left out and removed`() async throws {
        try await with { redis, one, _ in
            let key = "skillgate:quota:weather:EU"
            try redis.command("HSET", key, "old", "1 " + Self.report("x").text)
            try redis.command("HSET", key, "ahead", "99999999999999999 " + Self.report("x").text)
            try redis.command("HSET", key, "text", "nothing of a gateway")
            let time = Int(Date().timeIntervalSince1970 * 1_000_000)
            try redis.command("HSET", key, "unreadable", "\(time) 1 2 3")
            #expect(await one.exchange(Self.report("a")) == [Self.report("b")])
            let fields = try redis.command("HKEYS", key)
            #expect(["old", "ahead", "text"].allSatisfy { !fields.contains($0) } && fields.contains("two"))
        }
    }

    @Test func `a key of another kind, and a server that is gone, are as no store`() async throws {
        try await with { redis, one, _ in
            try redis.command("SET", "skillgate:quota:news:EU", "x")
            #expect(await one.exchange(Self.report("a"), of: "news") == nil)
            await redis.kill()
            #expect(await one.exchange(Self.report("a")) == nil)
        }
    }
}
