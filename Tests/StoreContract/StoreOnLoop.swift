package import GatewayCore
package import NIOCore

/// One store as one event loop sees it, for tests that wait for what it says.
package struct StoreOnLoop: Sendable {
    package let eventLoop: any EventLoop
    private let store: NIOLoopBound<any IdempotencyStore>
    /// What else belongs to it.
    package let parts: (any Sendable)?

    /// - Parameter make: called on the event loop.
    package init(
        on eventLoop: any EventLoop,
        _ make: @escaping @Sendable () throws -> (store: any IdempotencyStore, parts: (any Sendable)?)
    ) async throws {
        self.eventLoop = eventLoop
        (store, parts) = try await eventLoop.submit {
            let (store, parts) = try make()
            return (NIOLoopBound(store, eventLoop: eventLoop), parts)
        }.get()
    }

    package init(_ store: any IdempotencyStore & Sendable, on eventLoop: any EventLoop) async throws {
        try await self.init(on: eventLoop) { (store, nil) }
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

    /// What the store itself says, asked on its event loop.
    package func read<Value: Sendable>(
        _ body: @Sendable @escaping (any IdempotencyStore) -> Value
    ) async throws -> Value {
        try await eventLoop.submit { body(store.value) }.get()
    }

    package func reply(_ claim: IdempotencyClaim) async throws -> ClaimReply {
        try await ask { [eventLoop] in $0.claim(claim, on: eventLoop) }
    }

    package func claim(_ claim: IdempotencyClaim) async throws -> ClaimOutcome { try await reply(claim).outcome }

    @discardableResult
    package func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement,
        result: AttemptResult = AttemptResult(.success(UpstreamResponse(status: 202)), region: nil)
    ) async throws -> SettlementReply {
        try await ask { [eventLoop] in $0.settle(claim, settlement, result: result, on: eventLoop) }
    }

    package func result(of claim: IdempotencyClaim) async throws -> AttemptResult? {
        try await ask { [eventLoop] in $0.resultOfAttemptInFlight(claim, on: eventLoop) }
    }

    /// The same, of a wait that has begun before `action`.
    package func result(of claim: IdempotencyClaim, during action: () async throws -> Void) async throws
        -> AttemptResult?
    {
        let result = try await eventLoop.submit { [store, eventLoop] in
            store.value.resultOfAttemptInFlight(claim, on: eventLoop)
        }.get()
        try await action()
        return try await result.get()
    }

    package func receive(
        _ scope: IdempotencyScope, at received: Int64, binding: Receipt.Binding
    ) async throws -> ReceiptOutcome? {
        try await receive(Receipt(of: scope, at: received, binding: binding))?.withoutTime
    }

    package func receive(_ receipt: Receipt) async throws -> ReceiptOutcome? {
        try await ask { [eventLoop] in $0.receive(receipt, on: eventLoop) }
    }

    package func report(_ scope: IdempotencyScope) async throws -> KeyReport? {
        try await ask { [eventLoop] in $0.report(on: scope, on: eventLoop) }
    }
}

extension Eventual {
    package func get() async throws -> Value where Value: Sendable {
        switch self {
        case .now(let value): value
        case .later(let future): try await future.get()
        }
    }
}

extension ReceiptOutcome {
    /// The same, of a record whose time does not matter.
    package var withoutTime: Self {
        if case .first(let provesAcceptance, _) = self { .first(provesAcceptance: provesAcceptance) } else { self }
    }
}

/// Asks until the answer is yes. What is waited for takes its time by itself; nothing here sleeps.
package func until(
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
