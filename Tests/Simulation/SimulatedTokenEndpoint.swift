import GatewayCore
import NIOCore
import Synchronization
import TestSupport

/// Grants tokens after a while, mostly; each carries the generation that Amazon knows it by.
final class SimulatedTokenEndpoint: TokenEndpoint {
    private struct State {
        var nextGeneration = 0
        var pending: [Int: EventLoopPromise<Result<TokenGrant, TokenFetchFailure>>] = [:]
        var fetches = 0
        var isDead = false
        var generator: SeededGenerator
    }

    private let state: Mutex<State>

    init(seed: UInt64) {
        state = Mutex(State(generator: SeededGenerator(seed: seed)))
    }

    /// Which tokens Amazon takes now.
    func granting(_ generation: Int) { state.withLock { $0.nextGeneration = generation } }

    func fetchToken(
        _ credentials: ClientCredentials, secret: ClientCredentials.Secret, on eventLoop: any EventLoop
    ) -> EventLoopFuture<Result<TokenGrant, TokenFetchFailure>> {
        let promise = eventLoop.makePromise(of: Result<TokenGrant, TokenFetchFailure>.self)
        let (fetch, delay, fails) = state.withLock { state in
            state.fetches += 1
            state.pending[state.fetches] = promise
            let delay = Int64.random(in: 1...200, using: &state.generator)
            return (state.fetches, delay, Double.random(in: 0..<1, using: &state.generator) < 0.1)
        }
        eventLoop.scheduleTask(in: .milliseconds(delay)) {
            let generation = self.state.withLock { $0.nextGeneration }
            self.end(
                fetch,
                fails
                    ? .failure(TokenFetchFailure(.unreachable, "down"))
                    : .success(TokenGrant(token: "Atc|\(generation)", lifetimeSeconds: 3600)))
        }
        return promise.futureResult
    }

    private func end(_ fetch: Int, _ result: Result<TokenGrant, TokenFetchFailure>) {
        state.withLock { $0.pending.removeValue(forKey: fetch) }?.succeed(result)
    }

    func die() {
        let pending = state.withLock { state in
            defer { state.pending = [:] }
            return state.pending.sorted { $0.key < $1.key }
        }
        for (_, promise) in pending { promise.succeed(.failure(TokenFetchFailure(.unreachable, "dead"))) }
    }
}

/// Dice that a closure may hold on any thread.
final class SharedDice: Sendable {
    private let generator: Mutex<SeededGenerator>

    init(seed: UInt64) {
        generator = Mutex(SeededGenerator(seed: seed))
    }

    func fraction() -> Double { generator.withLock { Double.random(in: 0..<1, using: &$0) } }
}
