public import NIOCore
import Synchronization

/// Records in this process's memory: for a sidecar, and for one replica. Bounded; shared by all event loops.
///
/// Sharded by scope, each shard behind a mutex that is held for the time of a few memory accesses and never while
/// anybody is called, so that no event loop waits for another in any way that matters.
public final class MemoryIdempotencyStore: IdempotencyStore, Sendable {
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
        /// How long before its time the last record went that was evicted lately; nil when none was. By this much the
        /// retention that is kept falls short of the one that is promised.
        public var evictedEarlyBy: Duration?
    }

    private struct ShardState {
        var table = IdempotencyRecordTable()
        /// Those who wait for the attempt in flight; few scopes ever have any.
        var waiters: [IdempotencyScope: [EventLoopPromise<Answer?>]] = [:]
        var expired = 0
        var evicted = 0
        /// When, and how long before its time.
        var lastEviction: (at: NIODeadline, remaining: Duration)?
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

    public var kind: StoreKind { .memory }

    public func claim(_ claim: IdempotencyClaim, on eventLoop: any EventLoop) -> Eventual<ClaimReply> {
        let now = eventLoop.now
        let outcome: ClaimOutcome = shard(claim.scope).state.withLock { state in
            // Two for each that may be added: expiry keeps up with any load, without a pause or a timer.
            state.expired += state.table.removeExpired(now: now, limit: 2)
            var place = state.table.place(of: claim.scope)
            var record = state.table.record(at: place)
            let isNew = record == nil
            let outcome = IdempotencyRecord.claim(claim, on: &record, now: now)
            guard outcome == .owned else { return outcome }
            if isNew && state.table.counts.all >= recordsPerShard {
                guard makeRoom(&state, now: now) else { return .storeFull }
                place = state.table.place(of: claim.scope)
            }
            state.table.replace(claim.scope, at: place, with: record)
            return .owned
        }
        return .now(ClaimReply(outcome, .memory))
    }

    public func acceptedAnswer(to claim: IdempotencyClaim, now: NIODeadline) -> AcceptedAnswer? {
        shard(claim.scope).state.withLock { state in
            // By the rules of a claim, on a copy.
            var record = state.table.record(claim.scope)
            guard case .accepted = record?.state,
                case .accepted(let answer) = IdempotencyRecord.claim(claim, on: &record, now: now)
            else { return nil }
            return answer
        }
    }

    private func makeRoom(_ state: inout ShardState, now: NIODeadline) -> Bool {
        guard whenFull == .evictOldest, let expires = state.table.evictOldestSettled() else { return false }
        state.evicted += 1
        state.lastEviction = (now, Duration(from: now, to: expires))
        return true
    }

    public func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement, answer: Answer, on eventLoop: any EventLoop
    ) -> Eventual<Void> {
        let now = eventLoop.now
        let waiters: [EventLoopPromise<Answer?>]? = shard(claim.scope).state.withLock { state in
            let place = state.table.place(of: claim.scope)
            var record = state.table.record(at: place)
            let before = record
            IdempotencyRecord.settle(claim, settlement, on: &record, now: now)
            if record != before { state.table.replace(claim.scope, at: place, with: record) }
            if case .sending = record?.state { return nil }
            return state.waiters.isEmpty ? nil : state.waiters.removeValue(forKey: claim.scope)
        }
        for waiter in waiters ?? [] { waiter.succeed(answer) }
        return .now(())
    }

    public func answerOfAttemptInFlight(
        _ claim: IdempotencyClaim, on eventLoop: any EventLoop
    ) -> Eventual<Answer?> {
        shard(claim.scope).state.withLock { state in
            guard case .sending = state.table.record(claim.scope)?.state else { return .now(nil) }
            let promise = eventLoop.makePromise(of: Answer?.self)
            state.waiters[claim.scope, default: []].append(promise)
            return .later(promise.futureResult)
        }
    }

    public func report(on scope: IdempotencyScope, on eventLoop: any EventLoop) -> Eventual<KeyReport?> {
        let now = eventLoop.now
        return .now(
            shard(scope).state.withLock { IdempotencyRecord.report(on: $0.table.record(scope), now: now) })
    }

    /// - Parameter now: evictions up to a minute before this are lately.
    public func statistics(now: NIODeadline) -> Statistics {
        var sum = Statistics()
        for shard in shards {
            shard.state.withLock { state in
                sum.sending += state.table.counts.sending
                sum.unknown += state.table.counts.unknown
                sum.accepted += state.table.counts.accepted
                sum.expired += state.expired
                sum.evicted += state.evicted
                if let last = state.lastEviction, last.at + Self.lately > now {
                    sum.evictedEarlyBy = max(sum.evictedEarlyBy ?? .zero, last.remaining)
                }
            }
        }
        return sum
    }

    private static let lately = Duration.seconds(60)
}
