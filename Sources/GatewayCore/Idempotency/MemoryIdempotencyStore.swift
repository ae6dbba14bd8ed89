package import NIOCore
import Synchronization

/// Records in this process's memory: for a sidecar, and for one replica. Bounded, with a share for each caller
/// (`CallerShares`); shared by all event loops.
///
/// Sharded by scope, each shard behind a mutex that is held for the time of a few memory accesses and never while
/// anybody is called, so that no event loop waits for another in any way that matters.
package final class MemoryIdempotencyStore: IdempotencyStore, Sendable {
    package struct Configuration: Equatable, Sendable {
        package enum WhenFull: String, CaseIterable, Sendable {
            /// Forget the accepted message that was settled longest ago: of the same caller if it has its share, else of the one
            /// that has most.
            case evictOldest
            /// Send nothing more under a new key to a caller that has its share.
            case refuse
        }

        package var maximumRecords = 1_000_000
        package var maximumBytes = 512 << 20
        package var whenFull = WhenFull.evictOldest

        package init() {}
    }

    /// For metrics.
    package struct Statistics: Equatable, Sendable {
        package var sending = 0
        package var unknown = 0
        package var accepted = 0
        package var expired = 0
        package var evicted = 0
        /// Lifetime left on the last record evicted in the last minute; nil if there was none. The effective retention is
        /// shorter than the configured one by this much.
        package var evictedEarlyBy: Duration?
    }

    private struct ShardState {
        var table: IdempotencyRecordTable
        /// By caller; the same for all shards.
        var callers: [CallerShares.Records] = []
        /// Those who wait for the attempt in flight; few scopes ever have any.
        var waiters: [IdempotencyScope: [EventLoopPromise<AttemptResult?>]] = [:]
        var expired = 0
        var evicted = 0
        /// When, and how long before its time.
        var lastEviction: (at: NIODeadline, remaining: Duration)?
    }

    private final class Shard: Sendable {
        let state: Mutex<ShardState>

        init(indexParts: Int) {
            state = Mutex(ShardState(table: IdempotencyRecordTable(indexParts: indexParts)))
        }
    }

    private let shards: [Shard]
    /// Of `shards`; the only one where there is a single event loop.
    private let first: Shard
    private let shares: CallerShares
    private let whenFull: Configuration.WhenFull
    /// Of the last change; nil where nobody writes changes down.
    private let changes: Changes?

    private final class Changes: Sendable {
        let last = Atomic<UInt64>(0)
    }

    /// Of shards, and of parts of indexes in all shards together: a byte of the scope's bits chooses.
    private static let mostParts = 256
    /// What is less is not parted: all parts should fill alike, and take little room besides records. The index of a million records
    /// grows by as many at once, which takes tens of microseconds.
    private static let leastRecords = 2048

    /// - Parameters:
    ///   - eventLoops: that use it.
    ///   - numbersChanges: whether changes are numbered, for a store that writes them down.
    package init(_ configuration: Configuration = Configuration(), eventLoops: Int, numbersChanges: Bool = false) {
        changes = numbersChanges ? Changes() : nil
        let limit = max(
            1, min(configuration.maximumRecords, configuration.maximumBytes / IdempotencyRecordTable.bytesPerRecord))
        // Enough shards for event loops hardly ever to meet, and no more: what is not a record, the lists and counts of a shard, then
        // stays in the caches of a processor. Where changes are written down, another thread goes through the records, and those
        // of an earlier process may live longer than new ones, which have to find their place among them.
        let most = numbersChanges ? Self.mostParts : 8 * (eventLoops - 1)
        let count = Self.parts(of: limit, most: most)
        let indexParts = Self.parts(of: limit, most: Self.mostParts) / count
        first = Shard(indexParts: indexParts)
        shards = [first] + (1..<count).map { _ in Shard(indexParts: indexParts) }
        shares = CallerShares(limit: limit)
        whenFull = configuration.whenFull
    }

    /// A power of two.
    private static func parts(of records: Int, most: Int) -> Int {
        var count = 1
        while count < min(most, mostParts) && records / (count * 2) >= leastRecords { count *= 2 }
        return count
    }

    /// Gives each of so many callers the same share from now on.
    package func share(among callers: Int) { shares.share(among: callers) }

    /// Calls `body` with the shard of a scope, held.
    @inline(__always)
    private func withShard<Result>(of scope: IdempotencyScope, _ body: (inout sending ShardState) -> sending Result)
        -> Result
    {
        // What is taken from an array is counted up and down again.
        if shards.count == 1 { return first.state.withLock(body) }
        return shards[place(of: scope)].state.withLock(body)
    }

    private func place(of scope: IdempotencyScope) -> Int { Int(scope.shardBits) & (shards.count - 1) }

    package var kind: StoreKind { .memory }

    package func prefetch(_ scope: IdempotencyScope) {
        // Not worth waiting for.
        _ = shards[place(of: scope)].state.withLockIfAvailable { $0.table.prefetch(scope) }
    }

    package func claim(
        _ claim: IdempotencyClaim, now: NIODeadline, on eventLoop: any EventLoop
    ) -> Eventual<ClaimReply> {
        var change: RecordChange?
        return .now(ClaimReply(self.claim(claim, now: now, noting: &change), .memory))
    }

    /// - Parameter change: what the claim changed, where changes are numbered.
    package func claim(
        _ claim: IdempotencyClaim, now: NIODeadline, noting change: inout RecordChange?
    ) -> ClaimOutcome {
        switch attempt(claim, now: now, noting: &change) {
        case .outcome(let outcome): return outcome
        case .needsRoom(let victim):
            // Rare: shares so small that the caller whose turn it is has nothing in this shard.
            guard evictAnywhere(of: victim, now: now),
                case .outcome(let outcome) = attempt(claim, now: now, hasRoom: true, noting: &change)
            else { return .storeFull }
            return outcome
        }
    }

    private enum Attempt {
        case outcome(ClaimOutcome)
        /// A record of this caller has to go first, and there is none in the shard.
        case needsRoom(victim: Int)
    }

    private func attempt(
        _ claim: IdempotencyClaim, now: NIODeadline, hasRoom: Bool = false, noting change: inout RecordChange?
    ) -> Attempt {
        withShard(of: claim.scope) { state in
            removeExpired(&state, claim.caller, now: now)
            var place = state.table.place(of: claim.scope)
            let before = state.table.record(at: place)
            let record: IdempotencyRecord
            switch IdempotencyRecord.step(by: claim, on: before, now: now) {
            case .reply(let outcome): return .outcome(outcome)
            case .hold(let held): record = held
            }
            if place.isEmpty && !hasRoom {
                switch room(for: claim.caller, &state) {
                case .free: break
                case .none: return .outcome(.storeFull)
                case .ifGone(let victim):
                    guard evict(of: victim, &state, now: now) else { return .needsRoom(victim: victim) }
                    place = state.table.place(of: claim.scope)
                }
            }
            state.table.replace(
                claim.scope, at: place, with: record, of: claim.caller, isBrief: claim.isBrief)
            account(claim.caller, before?.isHeld, record.isHeld, &state)
            if changes != nil { change = noted(claim.scope, before, record, of: claim.caller) }
            return .outcome(.owned)
        }
    }

    /// To be called while the record cannot be changed again.
    private func noted(
        _ scope: IdempotencyScope, _ before: IdempotencyRecord?, _ after: IdempotencyRecord?, of caller: Int
    ) -> RecordChange? {
        guard let changes, let known = after ?? before else { return nil }
        return RecordChange(
            number: changes.last.add(1, ordering: .relaxed).newValue, scope: scope, caller: caller, before: before,
            record: after, fingerprint: known.fingerprint, expires: known.expires)
    }

    private enum Room {
        case free
        case none
        /// One of this caller's has to go.
        case ifGone(victim: Int)
    }

    /// Whether one more record of `caller` may be made.
    private func room(for caller: Int, _ state: inout ShardState) -> Room {
        let (records, share) = (records(of: caller, &state), shares.share)
        guard records.held.load(ordering: .relaxed) < share else { return .none }
        let hasItsShare = records.all.load(ordering: .relaxed) >= share
        switch whenFull {
        case .refuse: return hasItsShare || shares.isFull ? .none : .free
        case .evictOldest:
            guard shares.isFull else { return .free }
            return .ifGone(victim: hasItsShare ? caller : shares.caller(aboveShare: share) ?? caller)
        }
    }

    /// Two for each that may be added: expiry keeps up with any load, without a pause or a timer.
    private func removeExpired(_ state: inout ShardState, _ caller: Int, now: NIODeadline) {
        if let removed = state.table.removeExpired(of: caller, now: now) { expired(removed, &state) }
        if let removed = state.table.removeExpiredInTurn(now: now) { expired(removed, &state) }
    }

    private func expired(_ removed: IdempotencyRecordTable.Removed, _ state: inout ShardState) {
        state.expired += 1
        shares.changed(records(of: removed.caller, &state), wasHeld: removed.isHeld, isHeld: nil)
    }

    private func evictAnywhere(of victim: Int, now: NIODeadline) -> Bool {
        shards.contains { $0.state.withLock { evict(of: victim, &$0, now: now) } }
    }

    private func evict(of victim: Int, _ state: inout ShardState, now: NIODeadline) -> Bool {
        guard let removed = state.table.evictOldestSettled(of: victim) else { return false }
        let records = records(of: victim, &state)
        shares.changed(records, wasHeld: removed.isHeld, isHeld: nil)
        records.evicted.add(1, ordering: .relaxed)
        state.evicted += 1
        // What lives briefly in any case says nothing of how long the others do.
        if !removed.isBrief { state.lastEviction = (now, Duration(from: now, to: removed.expires)) }
        return true
    }

    private func records(of caller: Int, _ state: inout ShardState) -> CallerShares.Records {
        while state.callers.count <= caller { state.callers.append(shares.records(of: state.callers.count)) }
        return state.callers[caller]
    }

    /// Counts that a record of `caller` became another; nil stands for none.
    private func account(_ caller: Int, _ wasHeld: Bool?, _ isHeld: Bool?, _ state: inout ShardState) {
        guard wasHeld != isHeld else { return }
        shares.changed(records(of: caller, &state), wasHeld: wasHeld, isHeld: isHeld)
    }

    package func acceptedResponse(to claim: IdempotencyClaim, now: NIODeadline) -> AcceptedResponse? {
        withShard(of: claim.scope) { state in
            guard let record = state.table.record(claim.scope),
                case .reply(.accepted(let answer)) = IdempotencyRecord.step(by: claim, on: record, now: now)
            else { return nil }
            return answer
        }
    }

    package func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement, result: AttemptResult, now: NIODeadline,
        on eventLoop: any EventLoop
    ) -> Eventual<SettlementReply> {
        var change: RecordChange?
        let (found, waiters) = settle(claim, settlement, now: now, noting: &change)
        for waiter in waiters { waiter.succeed(result) }
        return .now(SettlementReply(found: found))
    }

    /// - Parameter change: what the settlement changed, where changes are numbered.
    /// - Returns: the answer that `IdempotencyRecord.settle` has found; who waits for the attempt's result, and is to be told.
    package func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement, now: NIODeadline, noting change: inout RecordChange?
    ) -> (found: AcceptedResponse?, waiters: [EventLoopPromise<AttemptResult?>]) {
        withShard(of: claim.scope) { state in
            let place = state.table.place(of: claim.scope)
            let before = state.table.record(at: place)
            let (step, found) = IdempotencyRecord.step(by: claim, settlement, on: before, now: now)
            let record: IdempotencyRecord?
            switch step {
            case .nothing:
                if case .sending = before?.state { return (nil, []) }
                return (found, takeWaiters(for: claim.scope, &state))
            case .becomes(let next): record = next
            case .removed: record = nil
            }
            let isBrief = place.isEmpty ? claim.isBrief : state.table.isBrief(at: place)
            state.table.replace(claim.scope, at: place, with: record, of: claim.caller, isBrief: isBrief)
            account(claim.caller, before?.isHeld, record?.isHeld, &state)
            if changes != nil { change = noted(claim.scope, before, record, of: claim.caller) }
            return (found, takeWaiters(for: claim.scope, &state))
        }
    }

    package func receive(
        _ receipt: Receipt, on eventLoop: any EventLoop
    ) -> Eventual<ReceiptOutcome?> {
        var change: RecordChange?
        let (outcome, waiters) = receive(receipt, now: eventLoop.now, noting: &change)
        for waiter in waiters { waiter.succeed(.provenByReceipt(at: receipt.receivedAt)) }
        return .now(outcome)
    }

    /// - Parameter change: what the report changed, where changes are numbered.
    /// - Returns: who waits for the result of an attempt, and is to be told that it was accepted.
    package func receive(
        _ receipt: Receipt, now: NIODeadline, noting change: inout RecordChange?
    ) -> (ReceiptOutcome, waiters: [EventLoopPromise<AttemptResult?>]) {
        let scope = receipt.scope
        return withShard(of: scope) { state in
            let place = state.table.place(of: scope)
            var record = state.table.record(at: place)
            guard let caller = state.table.caller(at: place), let before = record else { return (.absent, []) }
            let outcome = IdempotencyRecord.receive(receipt, on: &record, now: now)
            guard case .first(let provesAcceptance, _) = outcome else { return (outcome, []) }
            state.table.replace(scope, at: place, with: record, of: caller, isBrief: state.table.isBrief(at: place))
            account(caller, before.isHeld, record?.isHeld, &state)
            if changes != nil { change = noted(scope, before, record, of: caller) }
            guard provesAcceptance, !state.waiters.isEmpty else { return (outcome, []) }
            return (outcome, state.waiters.removeValue(forKey: scope) ?? [])
        }
    }

    package func resultOfAttemptInFlight(
        _ claim: IdempotencyClaim, on eventLoop: any EventLoop
    ) -> Eventual<AttemptResult?> {
        withShard(of: claim.scope) { state in
            guard case .sending = state.table.record(claim.scope)?.state else { return .now(nil) }
            let promise = eventLoop.makePromise(of: AttemptResult?.self)
            state.waiters[claim.scope, default: []].append(promise)
            return .later(promise.futureResult)
        }
    }

    // MARK: For a store that writes changes down

    /// A number as a change would get it.
    package func takeNumber() -> UInt64 { changes?.last.add(1, ordering: .relaxed).newValue ?? 0 }

    /// Takes a claim back that could not be written down: nothing was sent for it.
    ///
    /// - Returns: who waits for its result, and has to claim again.
    package func takeBack(_ change: RecordChange) -> [EventLoopPromise<AttemptResult?>] {
        withShard(of: change.scope) { state in
            // Settled or claimed again meanwhile, it is not this change's any more.
            let place = state.table.place(of: change.scope)
            let current = state.table.record(at: place)
            guard current == change.record else { return [] }
            state.table.replace(
                change.scope, at: place, with: change.before, of: change.caller,
                isBrief: state.table.isBrief(at: place))
            account(change.caller, current?.isHeld, change.before?.isHeld, &state)
            return state.waiters.removeValue(forKey: change.scope) ?? []
        }
    }

    /// The record as it is, as if it had been changed just now; nil if there is none.
    package func currentChange(of scope: IdempotencyScope) -> RecordChange? {
        withShard(of: scope) { state in
            let place = state.table.place(of: scope)
            guard let record = state.table.record(at: place), let caller = state.table.caller(at: place) else {
                return nil
            }
            return noted(scope, record, record, of: caller)
        }
    }

    /// The record that a change was made to as it is by now, gone or not.
    package func currentChange(after change: RecordChange) -> RecordChange? {
        withShard(of: change.scope) { state in
            noted(change.scope, change.record ?? change.before, state.table.record(change.scope), of: change.caller)
        }
    }

    /// Records that there are.
    package var count: Int { shares.count }

    /// So many records are about to be put back, or fewer.
    package func reserve(_ records: Int) {
        let each = min(records, shares.limit) / shards.count
        for shard in shards { shard.state.withLock { $0.table.reserve(each) } }
    }

    /// Puts a record back that was written down by an earlier process, or removes it. To be called in the order of the changes,
    /// and then `restored`.
    package func restore(_ change: RecordChange, now: NIODeadline) {
        if let changes, changes.last.load(ordering: .relaxed) < change.number {
            changes.last.store(change.number, ordering: .relaxed)
        }
        let victim = withShard(of: change.scope) { state -> Int? in
            let place = state.table.place(of: change.scope)
            let before = state.table.record(at: place)
            let owner = state.table.caller(at: place) ?? change.caller
            state.table.replace(
                change.scope, at: place, with: change.record, of: change.caller, isLoading: true)
            account(owner, before?.isHeld, nil, &state)
            account(change.caller, nil, change.record?.isHeld, &state)
            // As for a claim, whoever has more than its share makes room.
            guard before == nil, change.record != nil, shares.isOverfull else { return nil }
            let victim = shares.caller(aboveShare: shares.share) ?? change.caller
            return evict(of: victim, &state, now: now) ? nil : victim
        }
        if let victim { _ = evictAnywhere(of: victim, now: now) }
    }

    /// All records are back; they may have come in another order than they expire.
    package func restored() {
        for shard in shards { shard.state.withLock { $0.table.sortByExpiry() } }
    }

    /// Those who wait for an attempt of which nobody will say how it ended.
    package func takeWaiters(for scope: IdempotencyScope) -> [EventLoopPromise<AttemptResult?>] {
        withShard(of: scope) { takeWaiters(for: scope, &$0) }
    }

    private func takeWaiters(
        for scope: IdempotencyScope, _ state: inout ShardState
    ) -> [EventLoopPromise<AttemptResult?>] {
        state.waiters.isEmpty ? [] : state.waiters.removeValue(forKey: scope) ?? []
    }

    package func report(on scope: IdempotencyScope, on eventLoop: any EventLoop) -> Eventual<KeyReport?> {
        let now = eventLoop.now
        return .now(
            withShard(of: scope) { IdempotencyRecord.report(on: $0.table.record(scope), now: now) })
    }

    /// - Parameter now: evictions in the minute before this count as recent.
    package func statistics(now: NIODeadline) -> Statistics {
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

    /// How many records of each caller were evicted, by the caller's label.
    package var evictedByCaller: [Int] { shares.evictions }

    private static let lately = Duration.seconds(60)
}
