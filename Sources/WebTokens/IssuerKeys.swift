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

    private struct State {
        var machine: IssuerKeysStateMachine
        var keys: KeySet
        var waiters: [EventLoopPromise<Void>] = []
        var timer: Scheduled<Void>?
        var isStopped = false
        var statistics = IssuerStatistics()
    }

    /// Nil: the keys are there and stay as they are.
    private let fetch: Fetch?
    /// Runs timers and fetches; any loop will do.
    private let eventLoop: any EventLoop
    private let generation: KeyGeneration
    private let random: @Sendable () -> Double
    private let onFailure: @Sendable (String) -> Void
    private let state: Mutex<State>

    /// - Parameters:
    ///   - keys: that are there already.
    ///   - fetch: gets others; nil if there never are others.
    ///   - generation: told when a key goes.
    ///   - random: from 0 up to 1, for jitter.
    package init(
        _ keys: KeySet = KeySet(), fetch: Fetch?, eventLoop: any EventLoop, generation: KeyGeneration,
        random: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) },
        onFailure: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.fetch = fetch
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
        for waiter in waiters { waiter.succeed() }
    }

    /// The key that a token names, or what is known without it.
    func key(_ name: KeySet.Name) -> Lookup {
        let now = eventLoop.now
        return state.withLock { state in
            if let key = state.keys.key(name) { return .found(key) }
            guard fetch != nil, let retryAfter = state.machine.retryAfter(now: now) else { return .none }
            return .unavailable(retryAfter: retryAfter)
        }
    }

    enum Lookup {
        case found(any JWTAlgorithm)
        /// The issuer has no such key.
        case none
        /// It cannot be asked.
        case unavailable(retryAfter: Duration)
    }

    /// Succeeds behind the fetch that will tell of the key; nil if it is there, or nothing is to be waited for.
    func missing(_ name: KeySet.Name, on eventLoop: any EventLoop) -> EventLoopFuture<Void>? {
        guard fetch != nil else { return nil }
        let now = self.eventLoop.now
        let future: EventLoopFuture<Void>? = state.withLock { state in
            guard state.keys.key(name) == nil, !state.isStopped, state.waiters.count < Self.maximumWaiters,
                state.machine.hurry(now: now)
            else { return nil }
            let promise = eventLoop.makePromise(of: Void.self)
            state.waiters.append(promise)
            return promise.futureResult
        }
        if future != nil { timeTriggered() }
        return future
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

    private func timeTriggered() {
        guard let fetch else { return }
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
        guard isDue else { return }
        fetch(eventLoop).whenComplete { self.fetched($0) }
    }

    private func fetched(_ result: Result<KeySet, any Error>) {
        let (now, random) = (eventLoop.now, random())
        let waiters = state.withLock { state in
            switch result {
            case .success(let keys):
                state.statistics.succeeded += 1
                if !keys.includes(state.keys) { generation.advance() }
                state.keys = keys
                state.machine.succeeded(random: random, now: now)
            case .failure:
                state.statistics.failed += 1
                state.machine.failed(random: random, now: now)
            }
            defer { state.waiters = [] }
            return state.waiters
        }
        if case .failure(let error) = result { onFailure("\(error)") }
        for waiter in waiters { waiter.succeed() }
        timeTriggered()
    }
}

/// Counts how often a key has gone.
package final class KeyGeneration: Sendable {
    private let count = Atomic<Int>(0)

    package init() {}

    var current: Int { count.load(ordering: .acquiring) }

    /// Behind the change, for whoever looks between the two only verifies once more.
    func advance() { count.add(1, ordering: .releasing) }
}
