import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import GatewayCore

/// A token endpoint whose answers come when the test says so.
private final class ScriptedEndpoint: TokenEndpoint {
    typealias Fetched = Result<TokenGrant, TokenFetchFailure>

    private let pending = Mutex<[(secret: ClientCredentials.Secret, promise: EventLoopPromise<Fetched>)]>([])

    func fetchToken(
        _ credentials: ClientCredentials, secret: ClientCredentials.Secret, on eventLoop: any EventLoop
    ) -> EventLoopFuture<Fetched> {
        let promise = eventLoop.makePromise(of: Fetched.self)
        pending.withLock { $0.append((secret, promise)) }
        return promise.futureResult
    }

    var pendingSecrets: [ClientCredentials.Secret] { pending.withLock { $0.map(\.secret) } }

    func answer(_ result: Fetched) {
        let first = pending.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        first?.promise.succeed(result)
    }
}

@Suite struct TokenCacheTests {
    private let loop = EmbeddedEventLoop()
    private let endpoint = ScriptedEndpoint()
    private let grant = TokenGrant(token: "Atc|x", lifetimeSeconds: 3600)

    private func cache(nextSecret: String? = nil) -> TokenCache {
        TokenCache(
            ClientCredentials(clientID: "c", clientSecret: "s", nextClientSecret: nextSecret), endpoint: endpoint,
            eventLoop: loop)
    }

    private func generation(_ eventual: Eventual<TokenCache.Obtained>?) throws -> UInt64? {
        switch eventual {
        case .now(let result): try? result.get().generation
        case .later(let future): try? future.wait().get().generation
        case nil: nil
        }
    }

    @Test func `all who wait get the token of the one fetch`() throws {
        let cache = cache()
        cache.start()
        let waiting = (0..<1000).map { _ in cache.token(on: loop) }
        #expect(endpoint.pendingSecrets == [.current])
        endpoint.answer(.success(grant))
        for eventual in waiting { #expect(try generation(eventual) == 1) }
        #expect(endpoint.pendingSecrets.isEmpty)
        guard case .now(.success) = cache.token(on: loop) else { return #expect(Bool(false), "no wait any more") }
    }

    @Test func `the token is renewed by the timer alone`() throws {
        let cache = cache()
        cache.start()
        endpoint.answer(.success(grant))
        loop.advanceTime(by: .seconds(2519))
        #expect(endpoint.pendingSecrets.isEmpty)
        loop.advanceTime(by: .seconds(542))
        #expect(endpoint.pendingSecrets.count == 1)
        endpoint.answer(.success(grant))
        #expect(try generation(cache.token(on: loop)) == 2)
        cache.stop()
    }

    @Test func `a thousand refused tokens cause one fetch`() throws {
        let cache = cache()
        cache.start()
        endpoint.answer(.success(grant))
        let waiting = (0..<1000).map { _ in cache.renewed(refused: 1, on: loop) }
        #expect(endpoint.pendingSecrets.count == 1)
        endpoint.answer(.success(grant))
        for eventual in waiting { #expect(try generation(eventual) == 2) }
        #expect(cache.statistics().forcedRenewals == 1)
        #expect(cache.statistics().fetches == [.success: 2])
    }

    @Test func `who waits is told why there is no token, and the next secret is tried first`() throws {
        let cache = cache(nextSecret: "n")
        cache.start()
        let eventual = cache.token(on: loop)
        endpoint.answer(.failure(TokenFetchFailure(.invalidClient, "status 401")))
        #expect(endpoint.pendingSecrets == [.next])
        endpoint.answer(.failure(TokenFetchFailure(.invalidClient, "status 401")))
        guard case .later(let future) = eventual, case .failure(let reason) = try future.wait() else {
            return #expect(Bool(false), "there is no token")
        }
        #expect(reason.failure?.reason == .invalidClient)
        #expect(!cache.statistics().hasHadToken)
        cache.stop()
    }
}
