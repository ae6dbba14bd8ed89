import NIOCore
import Synchronization

/// One caller's rate that counts over all replicas, as this process has it. For all event loops.
///
/// Requests use up permits that the shared store has leased to the process: no round trip a message, and no lock while there are any. A
/// request that finds none waits for the store's reply, unless it is known when the next ones come. While the store cannot be asked, the
/// process goes by its own share of the rate.
package final class SharedRate: Sendable {
    typealias Decision = Result<Void, CallerError>

    private struct State {
        var leases: PermitLeases
        /// Each is told whether it has a permit. Without one, it decides again.
        var waiting: [EventLoopPromise<Bool>] = []
        var isStopped = false
        /// The last question was not answered.
        var hasFailed = false
    }

    /// Since the start.
    package struct Statistics: Equatable, Sendable {
        package var leases = 0
        /// Questions that were not answered.
        package var failures = 0
        /// Requests that were held to the process's own share of the rate.
        package var byShare = 0

        mutating func add(_ other: Self) {
            leases += other.leases
            failures += other.failures
            byShare += other.byShare
        }
    }

    /// While the store is away, it is asked this often.
    private static let retryPause = TimeAmount.seconds(1)
    /// More are refused at once: each holds its request.
    private static let waitingLimit = 4_096

    private let caller: String
    private let client: any PermitClient
    private let timers: any EventLoop
    private let replicas: ReplicaCount
    private let clock: @Sendable () -> NIODeadline
    private let pool = PermitPool()
    private let state: Mutex<State>
    /// Its identifier. Requests from before and behind a reload may come in turns for a moment.
    private let limitInForce: Atomic<Int>
    /// More than 0: the store is away, and each of so many replicas has its share.
    private let shares = Atomic<Int>(0)
    private let theoreticalArrivalTimeOfShare = Atomic<Int64>(0)
    /// Requests by share since the last question, and those of them that were let through.
    private let wantedByShare = Atomic<Int>(0)
    private let passedByShare = Atomic<Int>(0)
    private let leaseCount = Atomic<Int>(0)
    private let failureCount = Atomic<Int>(0)
    private let shareCount = Atomic<Int>(0)

    /// - Parameters:
    ///   - caller: its `Caller.recordID`.
    ///   - timers: where timers run.
    init(
        _ limit: RateLimit, of caller: String, client: any PermitClient, timers: any EventLoop,
        replicas: ReplicaCount, clock: @escaping @Sendable () -> NIODeadline
    ) {
        self.caller = caller
        self.client = client
        self.timers = timers
        self.replicas = replicas
        self.clock = clock
        state = Mutex(State(leases: PermitLeases(limit)))
        limitInForce = Atomic(limit.identifier)
    }

    /// Another limit than before leaves nothing of what was leased, or is to come, of the old one.
    private func use(_ limit: RateLimit) {
        let isChanged = state.withLock { state in
            limitInForce.store(limit.identifier, ordering: .relaxed)
            return state.leases.use(limit)
        }
        guard isChanged else { return }
        pool.discard()
        pool.expectArrival(at: 0)
        theoreticalArrivalTimeOfShare.store(0, ordering: .relaxed)
    }

    var statistics: Statistics {
        var statistics = Statistics()
        statistics.leases = leaseCount.load(ordering: .relaxed)
        statistics.failures = failureCount.load(ordering: .relaxed)
        statistics.byShare = shareCount.load(ordering: .relaxed)
        return statistics
    }

    // MARK: Requests

    /// Counts one request: at once, or when the store has said whether it may come.
    ///
    /// - Parameter limit: of the caller as the request's configuration has it.
    func pass(_ limit: RateLimit, now: NIODeadline, on eventLoop: any EventLoop) -> Eventual<Decision> {
        if let decision = decide(limit, now) { return .now(decision) }
        guard let wait = wait(on: eventLoop) else { return .now(decideAgain(limit)) }
        ask(now)
        return .later(wait.map { [self] hasPermit in hasPermit ? .success(()) : decideAgain(limit) })
    }

    /// Counts one request that cannot wait: where nothing is known, it may come, and uses up a permit of the next lease.
    func passAtOnce(_ limit: RateLimit, now: NIODeadline) throws(CallerError) {
        if let decision = decide(limit, now) { return try decision.get() }
        guard pool.atHand > -PermitLeases.maximum(limit) else { throw CallerError(rateExceededFor: limit.interval) }
        pool.takeOnCredit()
        ask(now)
    }

    /// Nil: the store has to be asked.
    private func decide(_ limit: RateLimit, _ deadline: NIODeadline) -> Decision? {
        let now = Int64(clamping: deadline.uptimeNanoseconds)
        if limit.identifier != limitInForce.load(ordering: .relaxed) { use(limit) }
        let shares = shares.load(ordering: .relaxed)
        guard shares == 0 else { return decideByShare(limit.share(among: shares), now) }
        switch pool.take(now: now) {
        case .taken(let isLow):
            if isLow { ask(deadline) }
            return .success(())
        case .none(let wait): return wait.map { .failure(CallerError(rateExceededFor: $0)) }
        }
    }

    private func decideByShare(_ share: RateLimit, _ now: Int64) -> Decision {
        shareCount.add(1, ordering: .relaxed)
        wantedByShare.add(1, ordering: .relaxed)
        if let wait = share.pass(theoreticalArrivalTimeOfShare, now: now) {
            return .failure(CallerError(rateExceededFor: wait))
        }
        passedByShare.add(1, ordering: .relaxed)
        return .success(())
    }

    /// For a request whose wait has brought no permit, or that need not wait.
    private func decideAgain(_ limit: RateLimit) -> Decision {
        // Nothing is known yet where more wait than can come at once.
        decide(limit, clock()) ?? .failure(CallerError(rateExceededFor: limit.interval))
    }

    func quota(_ limit: RateLimit, now: NIODeadline) -> RateLimit.Quota {
        let now = Int64(clamping: now.uptimeNanoseconds)
        let shares = shares.load(ordering: .relaxed)
        guard shares > 0 else { return pool.quota(limit, now: now) }
        return limit.share(among: shares).quota(
            theoreticalArrivalTime: theoreticalArrivalTimeOfShare.load(ordering: .relaxed), now: now)
    }

    // MARK: Leases

    /// Nil: there is nothing to wait for.
    private func wait(on eventLoop: any EventLoop) -> EventLoopFuture<Bool>? {
        state.withLock { state in
            let limit = min(state.leases.limit.burst, Self.waitingLimit)
            guard state.leases.mayWait, state.waiting.count < limit, !state.isStopped else { return nil }
            let promise = eventLoop.makePromise(of: Bool.self)
            state.waiting.append(promise)
            return promise.futureResult
        }
    }

    private func ask(_ now: NIODeadline) {
        let request = state.withLock { state in
            state.isStopped
                ? nil
                : state.leases.ask(
                    waiting: state.waiting.count, atHand: pool.atHand, demand: pool.demand, now: now)
        }
        if let request { send(request) }
    }

    private func askAgain() {
        let (request, isAway) = state.withLock { state in
            guard !state.isStopped else { return (PermitRequest?.none, true) }
            let passed = passedByShare.exchange(0, ordering: .relaxed)
            let request = state.leases.askAgain(wanted: wantedByShare.exchange(0, ordering: .relaxed), passed: passed)
            return (request, state.leases.isAway)
        }
        if let request { send(request) } else if !isAway { shares.store(0, ordering: .relaxed) }
    }

    private func send(_ request: PermitRequest) {
        client.lease(request, of: caller) { [self] lease in
            if let lease { leased(lease) } else { failed() }
        }
    }

    private func leased(_ lease: PermitLease) {
        let now = clock()
        leaseCount.add(1, ordering: .relaxed)
        pool.setTheoreticalArrivalTime(Int64(clamping: now.uptimeNanoseconds) + lease.ahead)
        let arrival = state.withLock { state in
            state.hasFailed = false
            return state.leases.replied(lease)
        }
        switch arrival {
        case .now(let permits): arrived(permits, now)
        case .later(let reservation, let wait):
            pool.expectArrival(at: Int64(clamping: now.uptimeNanoseconds) + wait)
            timers.scheduleTask(in: .nanoseconds(wait)) { [self] in
                if let permits = state.withLock({ $0.leases.arrived(reservation) }) { arrived(permits, clock()) }
            }
            shares.store(0, ordering: .relaxed)
            release()
        }
    }

    private func arrived(_ permits: Int, _ now: NIODeadline) {
        // Those that have waited come first, and as many as there are.
        let served = state.withLock { state in
            let served = Array(state.waiting.prefix(permits))
            state.waiting.removeFirst(served.count)
            return served
        }
        pool.add(permits, usedByNow: served.count, now: Int64(clamping: now.uptimeNanoseconds))
        shares.store(0, ordering: .relaxed)
        for promise in served { promise.succeed(true) }
        if state.withLock({ !$0.waiting.isEmpty }) { ask(now) }
    }

    private func failed() {
        let now = clock()
        failureCount.add(1, ordering: .relaxed)
        let (limit, isNews) = state.withLock { state in
            defer { state.hasFailed = true }
            state.leases.failed()
            return (state.leases.limit, !state.hasFailed)
        }
        if isNews, let known = replicas.known {
            // What is at hand is part of what others may count on.
            pool.discard()
            let time = limit.share(among: known).exhausted(now: Int64(clamping: now.uptimeNanoseconds))
            theoreticalArrivalTimeOfShare.store(time, ordering: .relaxed)
        }
        shares.store(replicas.assumed, ordering: .relaxed)
        release()
        timers.scheduleTask(in: Self.retryPause) { [self] in askAgain() }
    }

    private func release() {
        let waiting = state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
        for promise in waiting { promise.succeed(false) }
    }

    /// Asks no more.
    func stop() {
        state.withLock { $0.isStopped = true }
        release()
    }
}
