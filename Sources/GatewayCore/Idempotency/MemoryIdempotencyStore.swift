public import NIOCore
import Synchronization

/// Records in this process's memory: for a sidecar, and for one replica. Bounded; shared by all event loops.
///
/// Sharded by scope, each shard behind a mutex that is held for the time of a few memory accesses and never while
/// anybody is called, so that no event loop waits for another in any way that matters.
public final class MemoryIdempotencyStore: IdempotencyStore {
    public struct Configuration: Equatable, Sendable {
        public enum WhenFull: String, CaseIterable, Sendable {
            /// Forget the accepted message that was settled longest ago.
            case evictOldest
            /// Send nothing more under a new key.
            case refuse
        }

        public var maximumRecords = 1_000_000
        public var maximumBytes = 512 << 20
        public var whenFull = WhenFull.evictOldest

        public init() {}
    }

    /// For metrics.
    public struct Statistics: Equatable, Sendable {
        public var sending = 0
        public var unknown = 0
        public var accepted = 0
        public var expired = 0
        public var evicted = 0
    }

    private struct ShardState {
        var table = IdempotencyRecordTable()
        /// Those who wait for the attempt in flight; few scopes ever have any.
        var waiters: [IdempotencyScope: [EventLoopPromise<Answer>]] = [:]
        var expired = 0
        var evicted = 0
    }

    private final class Shard: Sendable {
        let state = Mutex(ShardState())
    }

    private let shards: [Shard]
    private let recordsPerShard: Int
    private let whenFull: Configuration.WhenFull

    public init(_ configuration: Configuration = Configuration()) {
        let limit = max(
            1, min(configuration.maximumRecords, configuration.maximumBytes / IdempotencyRecordTable.bytesPerRecord))
        // Enough shards for event loops not to meet, few enough for all to fill alike.
        var count = 1
        while count < 256 && limit / (count * 2) >= 1024 { count *= 2 }
        shards = (0..<count).map { _ in Shard() }
        recordsPerShard = (limit + count - 1) / count
        whenFull = configuration.whenFull
    }

    private func shard(_ scope: IdempotencyScope) -> Shard {
        shards[Int(truncatingIfNeeded: scope.words.2 & UInt64(shards.count - 1))]
    }

    public func claim(_ claim: IdempotencyClaim, on eventLoop: any EventLoop) -> Eventual<ClaimOutcome> {
        let now = eventLoop.now
        return .now(
            shard(claim.scope).state.withLock { state in
                // Two for each that may be added: expiry keeps up with any load, without a pause or a timer.
                state.expired += state.table.removeExpired(now: now, limit: 2)
                var record = state.table.record(claim.scope)
                let before = record
                let outcome = IdempotencyRecord.claim(claim, on: &record, now: now)
                guard outcome == .owned else { return outcome }
                if before == nil && !makeRoom(&state) { return .storeFull }
                state.table.replace(claim.scope, with: record)
                return .owned
            })
    }

    private func makeRoom(_ state: inout ShardState) -> Bool {
        guard state.table.counts.all >= recordsPerShard else { return true }
        guard whenFull == .evictOldest && state.table.evictOldestSettled() else { return false }
        state.evicted += 1
        return true
    }

    public func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement, answer: Answer, on eventLoop: any EventLoop
    ) -> Eventual<Void> {
        let now = eventLoop.now
        let waiters: [EventLoopPromise<Answer>]? = shard(claim.scope).state.withLock { state in
            var record = state.table.record(claim.scope)
            let before = record
            IdempotencyRecord.settle(claim, settlement, on: &record, now: now)
            if record != before { state.table.replace(claim.scope, with: record) }
            if case .sending = record?.state { return nil }
            return state.waiters.isEmpty ? nil : state.waiters.removeValue(forKey: claim.scope)
        }
        for waiter in waiters ?? [] { waiter.succeed(answer) }
        return .now(())
    }

    public func answerOfAttemptInFlight(
        _ scope: IdempotencyScope, on eventLoop: any EventLoop
    ) -> EventLoopFuture<Answer>? {
        shard(scope).state.withLock { state in
            guard case .sending = state.table.record(scope)?.state else { return nil }
            let promise = eventLoop.makePromise(of: Answer.self)
            state.waiters[scope, default: []].append(promise)
            return promise.futureResult
        }
    }

    public func acceptedAnswer(
        _ scope: IdempotencyScope, _ fingerprint: RequestFingerprint, on eventLoop: any EventLoop
    ) -> Eventual<AcceptedAnswer?> {
        let now = eventLoop.now
        return .now(
            shard(scope).state.withLock { state in
                guard let record = state.table.record(scope), record.expires > now, record.fingerprint == fingerprint,
                    case .accepted(let answer) = record.state
                else { return nil }
                return answer
            })
    }

    public func statistics() -> Statistics {
        var sum = Statistics()
        for shard in shards {
            shard.state.withLock { state in
                sum.sending += state.table.counts.sending
                sum.unknown += state.table.counts.unknown
                sum.accepted += state.table.counts.accepted
                sum.expired += state.expired
                sum.evicted += state.evicted
            }
        }
        return sum
    }
}
