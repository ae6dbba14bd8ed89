import NIOCore
import Synchronization

/// One caller's rate that counts over all replicas, as this process has it. For all event loops.
///
/// Requests use up permits that a server has leased to the process: no round trip a message, and no lock while there are any. A request
/// that finds none waits for the server's reply, unless it is known when the next ones come. While the server cannot be asked, the process
/// goes by its own share of the rate.
package final class SharedRate: Sendable {
    typealias Decision = Result<Void, CallerError>

    private struct State {
        var leases: PermitLeases
        var waiting: [EventLoopPromise<Bool>] = []
        var isStopped = false
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

    /// While the server is away, it is asked this often.
    private static let retryPause = TimeAmount.seconds(1)

    private let caller: String
    private let server: any PermitServer
    private let timers: any EventLoop
    private let replicas: ReplicaCount
    private let clock: @Sendable () -> NIODeadline
    private let pool = PermitPool()
    private let state: Mutex<State>
    /// More than 0: the server is away, and each of so many replicas has its share.
    private let shares = Atomic<Int>(0)
    private let theoreticalArrivalTimeOfShare = Atomic<Int64>(0)
    private let leases = Atomic<Int>(0)
    private let failures = Atomic<Int>(0)
    private let byShare = Atomic<Int>(0)

    /// - Parameters:
    ///   - caller: its `Caller.recordID`.
    ///   - timers: where timers run.
    init(
        _ limit: RateLimit, of caller: String, server: any PermitServer, timers: any EventLoop,
        replicas: ReplicaCount, clock: @escaping @Sendable () -> NIODeadline
    ) {
        self.caller = caller
        self.server = server
        self.timers = timers
        self.replicas = replicas
        self.clock = clock
        state = Mutex(State(leases: PermitLeases(limit)))
    }

    var statistics: Statistics {
        var statistics = Statistics()
        statistics.leases = leases.load(ordering: .relaxed)
        statistics.failures = failures.load(ordering: .relaxed)
        statistics.byShare = byShare.load(ordering: .relaxed)
        return statistics
    }

    // MARK: Requests

    /// Counts one request: at once, or when the server has said whether it may come.
    ///
    /// - Parameter limit: of the caller as the request's configuration has it.
    func pass(_ limit: RateLimit, now: NIODeadline, on eventLoop: any EventLoop) -> Eventual<Decision> {
        switch taken(limit, now) {
        case .granted: return .now(.success(()))
        case .refused(let wait): return .now(.failure(CallerError(rateExceededFor: wait)))
        case .unknown:
            let decision = wait(on: eventLoop, limit, now: now).map { [self] isGranted in
                isGranted ? Decision.success(()) : afterwards(limit)
            }
            return .later(decision)
        }
    }

    /// Counts one request that cannot wait: where nothing is known, it may come, and uses up a permit of the next lease.
    func passAtOnce(_ limit: RateLimit, now: NIODeadline) throws(CallerError) {
        switch taken(limit, now) {
        case .granted: return
        case .refused(let wait): throw CallerError(rateExceededFor: wait)
        case .unknown:
            pool.takeOnCredit()
            ask(now, limit)
        }
    }

    private enum Taken {
        case granted
        /// - Parameter wait: in nanoseconds.
        case refused(wait: Int64)
        case unknown
    }

    private func taken(_ limit: RateLimit, _ deadline: NIODeadline) -> Taken {
        let now = Int64(clamping: deadline.uptimeNanoseconds)
        let shares = shares.load(ordering: .relaxed)
        guard shares == 0 else { return takenOfShare(limit.share(among: shares), now) }
        switch pool.take(now: now) {
        case .taken(let isLow):
            if isLow { ask(deadline, limit) }
            return .granted
        case .none(let wait?): return .refused(wait: wait)
        case .none(nil): return .unknown
        }
    }

    private func takenOfShare(_ share: RateLimit, _ now: Int64) -> Taken {
        byShare.add(1, ordering: .relaxed)
        let wait = share.pass(theoreticalArrivalTimeOfShare, now: now)
        return wait.map { .refused(wait: $0) } ?? .granted
    }

    /// What is said to one that has waited for nothing.
    private func afterwards(_ limit: RateLimit) -> Decision {
        let now = clock()
        switch taken(limit, now) {
        case .granted: return .success(())
        case .refused(let wait): return .failure(CallerError(rateExceededFor: wait))
        // There were more than can come at once.
        case .unknown: return .failure(CallerError(rateExceededFor: limit.interval))
        }
    }

    func quota(_ limit: RateLimit, now: NIODeadline) -> RateLimit.Quota {
        let now = Int64(clamping: now.uptimeNanoseconds)
        let shares = shares.load(ordering: .relaxed)
        guard shares > 0 else { return pool.quota(limit, now: now) }
        return limit.share(among: shares).quota(
            theoreticalArrivalTime: theoreticalArrivalTimeOfShare.load(ordering: .relaxed), now: now)
    }

    // MARK: Leases

    private func wait(on eventLoop: any EventLoop, _ limit: RateLimit, now: NIODeadline) -> EventLoopFuture<Bool> {
        let promise = eventLoop.makePromise(of: Bool.self)
        let mayWait = state.withLock { state in
            // More than that are not there at once in any case.
            guard state.waiting.count < limit.burst, !state.isStopped else { return false }
            state.waiting.append(promise)
            return true
        }
        if mayWait { ask(now, limit) } else { promise.succeed(false) }
        return promise.futureResult
    }

    /// - Parameter limit: nil: as at the last question.
    private func ask(_ now: NIODeadline, _ limit: RateLimit? = nil) {
        let request = state.withLock { state in
            state.leases.ask(
                limit ?? state.leases.limit, waiting: state.waiting.count, atHand: pool.atHand, demand: pool.demand,
                now: now)
        }
        guard let request else { return }
        server.lease(request, of: caller) { [self] lease in
            if let lease { leased(lease) } else { failed() }
        }
    }

    private func leased(_ lease: PermitLease) {
        let now = clock()
        leases.add(1, ordering: .relaxed)
        pool.told(Int64(clamping: now.uptimeNanoseconds) + lease.ahead)
        switch state.withLock({ $0.leases.replied(lease) }) {
        case .now(let permits): arrived(permits, now)
        case .later(_, let wait):
            pool.expect(at: Int64(clamping: now.uptimeNanoseconds) + wait)
            timers.scheduleTask(in: .nanoseconds(wait)) { [self] in
                if let permits = state.withLock({ $0.leases.arrived() }) { arrived(permits, clock()) }
            }
            // They are told when.
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
        pool.add(permits, takenByNow: served.count, now: Int64(clamping: now.uptimeNanoseconds))
        shares.store(0, ordering: .relaxed)
        for promise in served { promise.succeed(true) }
        if state.withLock({ !$0.waiting.isEmpty }) { ask(now) }
    }

    private func failed() {
        let now = clock()
        failures.add(1, ordering: .relaxed)
        state.withLock { $0.leases.failed() }
        if shares.load(ordering: .relaxed) == 0 {
            // What is at hand is part of what others may count on.
            pool.discard()
            let time = state.withLock { $0.leases.limit }.share(among: replicas.assumed)
                .exhausted(now: Int64(clamping: now.uptimeNanoseconds))
            theoreticalArrivalTimeOfShare.store(time, ordering: .relaxed)
        }
        shares.store(replicas.assumed, ordering: .relaxed)
        release()
        timers.scheduleTask(in: Self.retryPause) { [self] in
            if !state.withLock({ $0.isStopped }) { ask(clock()) }
        }
    }

    /// Those that wait find out by themselves.
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
