package import GatewayCore
import JWTKit
package import NIOCore
import Synchronization

/// The keys of one issuer, for all event loops: fetched once for all of them, and again from time to time.
///
/// Does what `IssuerKeysStateMachine` says, as `TokenCache` does for tokens.
package final class IssuerKeys: Sendable {
    /// Gets the keys, once; the future is of the event loop that is given.
    package typealias Fetch = @Sendable (any EventLoop) -> EventLoopFuture<KeySet>

    /// Beyond so many, nobody waits: they are told that the key is not to be had.
    static let maximumWaiters = 10_000

    private struct Waiter {
        var name: KeySet.Name
        var since: NIODeadline
        var promise: EventLoopPromise<Lookup>
    }

    private struct State {
        var machine: IssuerKeysStateMachine
        var keys: KeySet
        var waiters: [Waiter] = []
        var timer: Scheduled<Void>?
        var isStopped = false
        var statistics = IssuerStatistics()
    }

    /// Nil: the keys are there and stay as they are.
    private let fetch: Fetch?
    private let algorithms: Set<String>
    /// Runs timers and fetches; any loop will do.
    private let eventLoop: any EventLoop
    private let generation: KeyGeneration
    private let random: @Sendable () -> Double
    private let onFailure: @Sendable (String) -> Void
    private let state: Mutex<State>

    /// - Parameters:
    ///   - keys: that are there already.
    ///   - algorithms: no other is used.
    ///   - fetch: gets others; nil if there never are others.
    ///   - generation: told when a key goes.
    ///   - random: from 0 up to 1, for jitter.
    package init(
        _ keys: KeySet = KeySet(), algorithms: [SigningAlgorithm], fetch: Fetch?, eventLoop: any EventLoop,
        generation: KeyGeneration,
        random: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) },
        onFailure: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.fetch = fetch
        self.algorithms = Set(algorithms.map(\.rawValue))
        self.eventLoop = eventLoop
        self.generation = generation
        self.random = random
        self.onFailure = onFailure
        state = Mutex(State(machine: IssuerKeysStateMachine(now: eventLoop.now), keys: keys))
    }

    /// Starts the first fetch; from then on there always is a fetch under way or a timer set for the next one.
    package func start() { timeTriggered() }

    /// Ends fetching. Whoever waits is let go.
    package func stop() {
        let (waiters, timer) = state.withLock { state in
            state.isStopped = true
            defer { (state.waiters, state.timer) = ([], nil) }
            return (state.waiters, state.timer)
        }
        timer?.cancel()
        for waiter in waiters {
            waiter.promise.succeed(.unavailable(retryAfter: IssuerKeysStateMachine.shortestPause))
        }
    }

    /// What is known of a key that a token names.
    enum Lookup: Sendable {
        case found(any JWTAlgorithm)
        /// The issuer has no such key.
        case none
        /// It cannot be asked.
        case unavailable(retryAfter: Duration)
    }

    /// The key that a token names; later if it has to be fetched. That it is not there is said after a fetch alone that began when it was
    /// asked for, or later.
    func key(_ name: KeySet.Name, on eventLoop: any EventLoop) -> Eventual<Lookup> {
        let now = self.eventLoop.now
        let (lookup, waits): (Eventual<Lookup>, Bool) = state.withLock { state in
            if let key = state.keys.key(name) { return (.now(.found(key)), false) }
            // No set that is fetched will have it.
            guard fetch != nil, algorithms.contains(name.algorithm), !state.keys.has(keyID: name.keyID) else {
                return (.now(.none), false)
            }
            guard !state.isStopped, state.waiters.count < Self.maximumWaiters else {
                return (.now(.unavailable(retryAfter: IssuerKeysStateMachine.shortestPause)), false)
            }
            if let retryAfter = state.machine.hurry(now: now) {
                return (.now(.unavailable(retryAfter: retryAfter)), false)
            }
            let promise = eventLoop.makePromise(of: Lookup.self)
            state.waiters.append(Waiter(name: name, since: now, promise: promise))
            return (.later(promise.futureResult), true)
        }
        if waits { timeTriggered() }
        return lookup
    }

    /// Fetches the keys for the first time, and goes on if that succeeds.
    ///
    /// - Returns: why there are none; nil if there are.
    package func startWithKeys() async -> String? {
        do {
            _ = try await timeTriggered()?.get()
            return nil
        } catch {
            return "\(error)"
        }
    }

    package func statistics() -> IssuerStatistics {
        state.withLock { state in
            var statistics = state.statistics
            statistics.keys = state.keys.count
            statistics.fetched = state.machine.fetched
            statistics.isFailing = state.machine.isFailing
            return statistics
        }
    }

    /// Begins a fetch if one is due, and sets the timer for the next one otherwise.
    ///
    /// - Returns: the fetch, whose keys have been taken over when it ends; nil if none was due.
    @discardableResult
    private func timeTriggered() -> EventLoopFuture<KeySet>? {
        guard let fetch else { return nil }
        let now = eventLoop.now
        let isDue = state.withLock { state in
            guard !state.isStopped else { return false }
            switch state.machine.timeTriggered(now: now) {
            case .fetch:
                state.timer?.cancel()
                state.timer = nil
                return true
            case .waitUntil(let deadline):
                state.timer?.cancel()
                state.timer = eventLoop.scheduleTask(deadline: deadline) { self.timeTriggered() }
                return false
            case nil: return false
            }
        }
        guard isDue else { return nil }
        return fetch(eventLoop).always { self.fetched($0, since: now) }
    }

    private func fetched(_ result: Result<KeySet, any Error>, since: NIODeadline) {
        let (now, random) = (eventLoop.now, random())
        let answers: [(EventLoopPromise<Lookup>, Lookup)] = state.withLock { state in
            guard !state.isStopped else { return [] }
            switch result {
            case .success(let keys):
                let old = state.keys
                state.statistics.succeeded += 1
                state.keys = keys
                state.machine.succeeded(random: random, now: now)
                if !keys.includes(old) { generation.advance() }
            case .failure:
                state.statistics.failed += 1
                state.machine.failed(random: random, now: now)
            }
            return Self.answers(&state, to: result, since: since, now: now)
        }
        if case .failure(let error) = result { onFailure("\(error)") }
        for (promise, lookup) in answers { promise.succeed(lookup) }
        timeTriggered()
    }

    /// What those who waited for a fetch learn from it. Who came after it had begun, and whose key it has not brought, waits for another.
    private static func answers(
        _ state: inout State, to result: Result<KeySet, any Error>, since: NIODeadline, now: NIODeadline
    ) -> [(EventLoopPromise<Lookup>, Lookup)] {
        var answers: [(EventLoopPromise<Lookup>, Lookup)] = []
        var left: [Waiter] = []
        for waiter in state.waiters {
            if let key = state.keys.key(waiter.name) {
                answers.append((waiter.promise, .found(key)))
            } else if case .failure = result {
                answers.append((waiter.promise, .unavailable(retryAfter: IssuerKeysStateMachine.shortestPause)))
            } else if waiter.since <= since || state.keys.has(keyID: waiter.name.keyID) {
                answers.append((waiter.promise, .none))
            } else {
                left.append(waiter)
            }
        }
        state.waiters = left
        if !left.isEmpty { _ = state.machine.hurry(now: now) }
        return answers
    }
}

/// Counts how often a key has gone.
package final class KeyGeneration: Sendable {
    private let count = Atomic<Int>(0)

    package init() {}

    var current: Int { count.load(ordering: .acquiring) }

    /// To be called behind the change, so that nobody verifies with old keys under the new number.
    func advance() { count.add(1, ordering: .releasing) }
}
