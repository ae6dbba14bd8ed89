import Foundation
import GatewayCore
import NIOCore
import NIOPosix
import Synchronization

@testable import GatewayRedis

/// One store as one event loop sees it, for tests that wait for what it says.
struct StoreOnLoop: Sendable {
    let eventLoop: any EventLoop
    private let store: NIOLoopBound<any IdempotencyStore>
    private let server: NIOLoopBound<RedisClient>?
    /// What its connections said of themselves.
    let events = EventList()

    init(_ store: any IdempotencyStore & Sendable, on eventLoop: any EventLoop) async throws {
        self.eventLoop = eventLoop
        server = nil
        self.store = try await eventLoop.submit { NIOLoopBound(store, eventLoop: eventLoop) }.get()
    }

    init(
        _ configuration: RedisConfiguration, on eventLoop: any EventLoop, health: RedisHealth? = nil,
        whenUnavailable: SharedIdempotencyStore.WhenUnavailable = .refuse, claimsByScript: Bool = false
    ) async throws {
        self.eventLoop = eventLoop
        let events = events
        let (store, server) = try await eventLoop.submit {
            let server = try RedisClient(
                configuration, clientName: "test", eventLoop: eventLoop, health: health ?? RedisHealth(),
                unixMilliseconds: { Int(Date().timeIntervalSince1970 * 1000) }, onEvent: { events.add($0) })
            if claimsByScript { server.claimsBySet = false }
            let store = SharedIdempotencyStore(
                .redis, on: server, whenUnavailable: whenUnavailable, eventLoop: eventLoop)
            if health != nil { server.startWatching() }
            server.start()
            let bound: NIOLoopBound<any IdempotencyStore> = NIOLoopBound(store, eventLoop: eventLoop)
            return (bound, NIOLoopBound(server, eventLoop: eventLoop))
        }.get()
        (self.store, self.server) = (store, server)
    }

    /// Ends its connections.
    func close() async throws {
        try await eventLoop.submit { server?.value.shutDown() }.get()
    }

    private func ask<Value: Sendable>(
        _ body: @Sendable @escaping (any IdempotencyStore) -> Eventual<Value>
    ) async throws -> Value {
        try await eventLoop.flatSubmit {
            switch body(store.value) {
            case .now(let value): eventLoop.makeSucceededFuture(value)
            case .later(let future): future
            }
        }.get()
    }

    func reply(_ claim: IdempotencyClaim) async throws -> ClaimReply {
        try await ask { [eventLoop] in $0.claim(claim, on: eventLoop) }
    }

    func claim(_ claim: IdempotencyClaim) async throws -> ClaimOutcome { try await reply(claim).outcome }

    @discardableResult
    func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement,
        result: AttemptResult = AttemptResult(.success(UpstreamResponse(status: 202)), region: nil)
    ) async throws -> SettlementReply {
        try await ask { [eventLoop] in $0.settle(claim, settlement, result: result, on: eventLoop) }
    }

    func result(of claim: IdempotencyClaim) async throws -> AttemptResult? {
        try await ask { [eventLoop] in $0.resultOfAttemptInFlight(claim, on: eventLoop) }
    }

    func report(_ scope: IdempotencyScope) async throws -> KeyReport? {
        try await ask { [eventLoop] in $0.report(on: scope, on: eventLoop) }
    }

    var statistics: SharedStoreStatistics {
        get async throws {
            try await eventLoop.submit {
                (store.value as? SharedIdempotencyStore)?.statistics ?? .init()
            }.get()
        }
    }

    /// Returns once the store can be reached; throws if it never can.
    func untilUp() async throws {
        let scope = IdempotencyScope(words: (0, 0, 0, 0))
        try await until { try await report(scope) != nil }
    }
}

/// Asks until the answer is yes. What is waited for takes its time by itself; nothing here sleeps.
func until(
    within limit: Duration = .seconds(20), _ condition: () async throws -> Bool, line: Int = #line
) async throws {
    let clock = ContinuousClock()
    let end = clock.now + limit
    while clock.now < end {
        if try await condition() { return }
        await Task.yield()
    }
    throw NeverCame(line: line)
}

struct NeverCame: Error { var line: Int }

final class EventList: Sendable {
    private let events = Mutex<[RedisClient.Event]>([])

    func add(_ event: RedisClient.Event) { events.withLock { $0.append(event) } }
    var all: [RedisClient.Event] { events.withLock { $0 } }
}
