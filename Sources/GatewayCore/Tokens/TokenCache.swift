package import NIOCore
import Synchronization

/// The current access token of one skill, for all event loops; fetches and renews it.
///
/// Does what `TokenStateMachine` says. The mutex is held for a few memory accesses; fetching and answering those who
/// wait happen outside of it.
package final class TokenCache: Sendable {
    package typealias Obtained = Result<AccessToken, TokenUnavailable>

    /// For metrics and readiness.
    package struct Statistics: Sendable {
        package var fetches: [FetchResult: Int] = [:]
        var forcedRenewals = 0
        var fetchDurations = Histogram(bounds: Histogram.tokenFetchSeconds)
        package var hasHadToken = false
        package var expires: NIODeadline?
        /// When the last token that came was asked for.
        package var fetched: NIODeadline?
        package var lastFailure: TokenFetchFailure?
    }

    package enum FetchResult: Hashable, Sendable {
        case success
        case failure(TokenFetchFailure.Reason)

        package var label: String {
            switch self {
            case .success: "success"
            case .failure(let reason): reason.rawValue
            }
        }
    }

    private struct State {
        var credentials: ClientCredentials
        var machine: TokenStateMachine
        var waiters: [EventLoopPromise<Obtained>] = []
        var timer: Scheduled<Void>?
        var isStopped = false
        var statistics = Statistics()
    }

    private let endpoint: any TokenEndpoint
    /// Runs timers and fetches; any loop will do.
    private let eventLoop: any EventLoop
    private let random: @Sendable () -> Double
    private let onFailure: @Sendable (TokenFetchFailure) -> Void
    private let onEnded: @Sendable (TokenCache, TokenFetchFailure?) -> Void
    private let state: Mutex<State>

    /// - Parameters:
    ///   - firstGeneration: its tokens count up from here; different for each cache that a skill may have in turn.
    ///   - random: from 0 up to 1, for jitter.
    ///   - onFailure: called for each request that brings no token.
    ///   - onEnded: called when a token that can be used has come, with nil, or when none of the secrets brings one.
    package init(
        _ credentials: ClientCredentials, endpoint: any TokenEndpoint, eventLoop: any EventLoop,
        firstGeneration: UInt64 = 0,
        random: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) },
        onFailure: @escaping @Sendable (TokenFetchFailure) -> Void = { _ in },
        onEnded: @escaping @Sendable (TokenCache, TokenFetchFailure?) -> Void = { _, _ in }
    ) {
        self.endpoint = endpoint
        self.eventLoop = eventLoop
        self.random = random
        self.onFailure = onFailure
        self.onEnded = onEnded
        let machine = TokenStateMachine(
            hasNextSecret: credentials.nextClientSecret != nil, now: eventLoop.now,
            firstGeneration: firstGeneration)
        state = Mutex(State(credentials: credentials, machine: machine))
    }

    /// Starts the first fetch; from then on there always is a fetch under way or a timer set for the next one.
    package func start() {
        timeTriggered()
    }

    /// From here on tokens are fetched with `credentials`, the first one at once. The token at hand stays in use until then.
    package func replaceCredentials(_ credentials: ClientCredentials) {
        let now = eventLoop.now
        let isChanged = state.withLock { state in
            guard state.credentials != credentials else { return false }
            state.credentials = credentials
            state.machine.credentialsReplaced(hasNextSecret: credentials.nextClientSecret != nil, now: now)
            return true
        }
        if isChanged { timeTriggered() }
    }

    /// Ends renewal. Whoever waits is told that there is no token.
    package func stop() {
        let (waiters, timer) = state.withLock { state in
            state.isStopped = true
            defer { (state.waiters, state.timer) = ([], nil) }
            return (state.waiters, state.timer)
        }
        timer?.cancel()
        for waiter in waiters { waiter.succeed(.failure(TokenUnavailable(retryAfter: .seconds(1), failure: nil))) }
    }

    /// The token to send with.
    package func token(on eventLoop: any EventLoop) -> Eventual<Obtained> {
        token(on: eventLoop, now: eventLoop.now)
    }

    func token(on eventLoop: any EventLoop, now: NIODeadline) -> Eventual<Obtained> {
        if case .token(let token) = state.withLock({ $0.machine.use(now: now) }) { return .now(.success(token)) }
        let (obtained, isHurried): (Eventual<Obtained>, Bool) = state.withLock { state in
            switch state.machine.use(now: now) {
            case .token(let token): return (.now(.success(token)), false)
            case .wait: return (.later(Self.wait(&state, on: eventLoop)), false)
            case .unavailable(let reason):
                guard !state.isStopped, state.machine.hurry(now: now) else { return (.now(.failure(reason)), false) }
                // It waits for the fetch that it starts, unless those have taken long.
                guard reason.failure?.reason != .timeout else { return (.now(.failure(reason)), true) }
                return (.later(Self.wait(&state, on: eventLoop)), true)
            }
        }
        if isHurried { timeTriggered() }
        return obtained
    }

    /// Waits for the first token; for a configuration that is being loaded.
    package func firstToken(on eventLoop: any EventLoop, atMost timeout: Duration) async -> Obtained {
        switch token(on: eventLoop) {
        case .now(let obtained): return obtained
        case .later(let future):
            let promise = eventLoop.makePromise(of: Obtained.self)
            let timer = eventLoop.scheduleTask(in: TimeAmount(timeout)) {
                promise.succeed(.failure(TokenUnavailable(retryAfter: .seconds(1), failure: nil)))
            }
            future.whenSuccess { obtained in
                timer.cancel()
                promise.succeed(obtained)
            }
            let unavailable = TokenUnavailable(retryAfter: .seconds(1), failure: nil)
            return (try? await promise.futureResult.get()) ?? .failure(unavailable)
        }
    }

    /// Amazon refused the token of this generation: the token to send once more with, or nil if there is no newer one.
    func renewed(refused generation: UInt64, on eventLoop: any EventLoop) -> Eventual<Obtained>? {
        let now = eventLoop.now
        let (renewal, isForced): (Eventual<Obtained>?, Bool) = state.withLock { state in
            switch state.machine.refused(generation: generation, now: now) {
            case .none: return (nil, false)
            case .token(let token): return (.now(.success(token)), false)
            case .wait:
                let isFirst = state.waiters.isEmpty
                if isFirst { state.statistics.forcedRenewals += 1 }
                return (.later(Self.wait(&state, on: eventLoop)), true)
            }
        }
        if isForced { timeTriggered() }
        return renewal
    }

    /// A message was refused again with a newer token.
    func refusedAgain(on eventLoop: any EventLoop) {
        let now = eventLoop.now
        state.withLock { $0.machine.refusedAgain(now: now) }
    }

    package func statistics() -> Statistics {
        state.withLock { state in
            var statistics = state.statistics
            statistics.hasHadToken = state.machine.hasHadToken
            statistics.expires = state.machine.expires
            return statistics
        }
    }

    private static func wait(_ state: inout State, on eventLoop: any EventLoop) -> EventLoopFuture<Obtained> {
        let promise = eventLoop.makePromise(of: Obtained.self)
        state.waiters.append(promise)
        return promise.futureResult
    }

    private func timeTriggered() {
        let now = eventLoop.now
        let secret: ClientCredentials.Secret? = state.withLock { state in
            guard !state.isStopped else { return nil }
            switch state.machine.timeTriggered(now: now) {
            case .fetch(let secret):
                state.timer?.cancel()
                state.timer = nil
                return secret
            case .waitUntil(let deadline):
                setTimer(&state, deadline)
                return nil
            case nil: return nil
            }
        }
        if let secret { fetch(secret) }
    }

    private func setTimer(_ state: inout State, _ deadline: NIODeadline) {
        state.timer?.cancel()
        state.timer = eventLoop.scheduleTask(deadline: deadline) { self.timeTriggered() }
    }

    private func fetch(_ secret: ClientCredentials.Secret) {
        let sent = eventLoop.now
        let credentials = state.withLock { $0.credentials }
        endpoint.fetchToken(credentials, secret: secret, on: eventLoop).whenSuccess { result in
            self.fetchCompleted(result, sent: sent)
        }
    }

    private func fetchCompleted(_ result: Result<TokenGrant, TokenFetchFailure>, sent: NIODeadline) {
        let now = eventLoop.now
        let random = random()
        let (completion, waiters, lastFailure) = state.withLock {
            state -> (TokenStateMachine.Completion, [EventLoopPromise<Obtained>], TokenFetchFailure?) in
            state.statistics.fetchDurations.observe(Duration(from: sent, to: now).inSeconds)
            let completion: TokenStateMachine.Completion
            switch result {
            case .success(let grant):
                state.statistics.fetches[.success, default: 0] += 1
                state.statistics.fetched = sent
                state.statistics.lastFailure = nil
                completion = state.machine.fetchSucceeded(grant, random: random, now: now)
            case .failure(let failure):
                state.statistics.fetches[.failure(failure.reason), default: 0] += 1
                state.statistics.lastFailure = failure
                completion = state.machine.fetchFailed(failure, random: random, now: now)
            }
            guard completion != .fetchAgain else { return (completion, [], nil) }
            defer { state.waiters = [] }
            return (completion, state.waiters, state.machine.lastFailure)
        }
        if case .failure(let failure) = result { onFailure(failure) }
        if completion != .fetchAgain { onEnded(self, lastFailure) }
        switch completion {
        case .deliver(let token): for waiter in waiters { waiter.succeed(.success(token)) }
        case .fail(let reason): for waiter in waiters { waiter.succeed(.failure(reason)) }
        case .fetchAgain: return fetch(state.withLock { $0.machine.secretToTryAgainWith(now: now) })
        }
        timeTriggered()
    }
}
