import Foundation
import GatewayCore
import NIOCore
import StoreContract
import Synchronization

@testable import GatewayRedis

/// What belongs to a store on Redis.
private struct RedisParts: Sendable {
    var server: NIOLoopBound<RedisClient>
    /// What its connections said of themselves.
    var events: EventList
}

extension StoreOnLoop {
    init(
        _ configuration: RedisConfiguration, on eventLoop: any EventLoop, health: RedisHealth? = nil,
        whenUnavailable: SharedIdempotencyStore.WhenUnavailable = .refuse, claimsByScript: Bool = false
    ) async throws {
        try await self.init(on: eventLoop) {
            let events = EventList()
            let server = try RedisClient(
                configuration, clientName: "test", eventLoop: eventLoop, health: health ?? RedisHealth(),
                unixMilliseconds: { Int(Date().timeIntervalSince1970 * 1000) }, onEvent: { events.add($0) })
            if claimsByScript { server.claimsBySet = false }
            let store = SharedIdempotencyStore(
                .redis, on: server, whenUnavailable: whenUnavailable, eventLoop: eventLoop)
            if health != nil { server.startWatching() }
            server.start()
            return (store, RedisParts(server: NIOLoopBound(server, eventLoop: eventLoop), events: events))
        }
    }

    private var redis: RedisParts? { parts as? RedisParts }

    var events: EventList { redis?.events ?? EventList() }

    /// Ends its connections.
    func close() async throws {
        try await eventLoop.submit { redis?.server.value.shutDown() }.get()
    }

    var statistics: SharedStoreStatistics {
        get async throws { try await read { ($0 as? SharedIdempotencyStore)?.statistics ?? .init() } }
    }

    /// Returns once the store can be reached; throws if it never can.
    func untilUp() async throws {
        let scope = IdempotencyScope(words: (0, 0, 0, 0))
        try await until { try await report(scope) != nil }
    }
}

final class EventList: Sendable {
    private let events = Mutex<[RedisClient.Event]>([])

    func add(_ event: RedisClient.Event) { events.withLock { $0.append(event) } }
    var all: [RedisClient.Event] { events.withLock { $0 } }
}
