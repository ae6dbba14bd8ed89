import Foundation
import GatewayCore
import NIOCore
import NIOEmbedded
import Synchronization
import TestSupport
import Testing

@testable import WebTokens

@Suite struct IssuerKeysTests {
    /// Gives what it is told to, and the last of it again and again.
    private final class Source: Sendable {
        private let results: Mutex<[Result<KeySet, KeySet.ReadingError>]>
        let asked = Atomic<Int>(0)

        init(_ results: [Result<KeySet, KeySet.ReadingError>]) { self.results = Mutex(results) }

        func fetch(_ eventLoop: any EventLoop) -> EventLoopFuture<KeySet> {
            asked.add(1, ordering: .relaxed)
            let result = results.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
            // Not before the next turn.
            return eventLoop.submit { try result.get() }
        }
    }

    private static func set(_ issuers: TestIssuer...) async throws -> KeySet {
        let keys = try JSONSerialization.data(withJSONObject: ["keys": issuers.map { $0.webKey() }])
        return try await KeySet(Array(keys), algorithms: [.es256])
    }

    private static func name(_ id: String) -> KeySet.Name { KeySet.Name(keyID: id, algorithm: "ES256") }

    private func has(_ id: String, _ keys: IssuerKeys) -> Bool {
        if case .found = keys.key(Self.name(id)) { true } else { false }
    }

    @Test func `one fetch is for all who wait`() async throws {
        oneFetch(Source([.success(try await Self.set(TestIssuer()))]))
    }

    private func oneFetch(_ source: Source) {
        let loop = EmbeddedEventLoop()
        let keys = IssuerKeys(fetch: source.fetch, eventLoop: loop, generation: KeyGeneration())
        let released = Atomic<Int>(0)
        for _ in 0..<100 {
            keys.missing(Self.name("key-1"), on: loop)?.whenSuccess { released.add(1, ordering: .relaxed) }
        }
        #expect(released.load(ordering: .relaxed) == 0)
        loop.run()
        #expect(released.load(ordering: .relaxed) == 100 && source.asked.load(ordering: .relaxed) == 1)
        #expect(has("key-1", keys) && keys.missing(Self.name("key-1"), on: loop) == nil)
        keys.stop()
    }

    @Test func `so many wait, and no more`() async throws {
        bounded(Source([.success(try await Self.set(TestIssuer()))]))
    }

    private func bounded(_ source: Source) {
        let loop = EmbeddedEventLoop()
        let keys = IssuerKeys(fetch: source.fetch, eventLoop: loop, generation: KeyGeneration())
        let waiting = (0...IssuerKeys.maximumWaiters).map { keys.missing(Self.name("\($0)"), on: loop) != nil }
        #expect(waiting.dropLast().allSatisfy { $0 } && waiting.last == false)
        loop.run()
        keys.stop()
    }

    @Test func `keys are rotated, and used while the issuer is down for an hour`() async throws {
        let (old, new) = (TestIssuer(keyID: "old"), TestIssuer(keyID: "new"))
        let sets = [try await Self.set(old), try await Self.set(old, new), try await Self.set(new)]
        rotation(Source(sets.map { .success($0) } + [.failure(.init(description: "down"))]))
    }

    private func rotation(_ source: Source) {
        let loop = EmbeddedEventLoop()
        let generation = KeyGeneration()
        let failures = Atomic<Int>(0)
        let keys = IssuerKeys(
            fetch: source.fetch, eventLoop: loop, generation: generation, random: { 0.5 },
            onFailure: { _ in failures.add(1, ordering: .relaxed) })
        keys.start()
        loop.run()
        #expect(has("old", keys) && !has("new", keys) && generation.current == 0)
        // A token with a new key is there before the set is asked for in its turn.
        loop.advanceTime(by: .seconds(2))
        let isKnown = Atomic<Bool>(false)
        keys.missing(Self.name("new"), on: loop)?.whenSuccess { isKnown.store(true, ordering: .relaxed) }
        loop.run()
        #expect(isKnown.load(ordering: .relaxed) && has("old", keys) && has("new", keys) && generation.current == 0)
        loop.advanceTime(by: .minutes(5))
        #expect(!has("old", keys) && has("new", keys) && generation.current == 1)
        for _ in 0..<60 {
            loop.advanceTime(by: .minutes(1))
            #expect(has("new", keys))
        }
        #expect(failures.load(ordering: .relaxed) > 30 && keys.statistics().isFailing && keys.statistics().keys == 1)
        // Nobody knows whether the issuer has another by now.
        guard case .unavailable = keys.key(Self.name("unknown")) else { return #expect(Bool(false)) }
        keys.stop()
        // No timer is left.
        loop.advanceTime(by: .hours(1))
        #expect(source.asked.load(ordering: .relaxed) == failures.load(ordering: .relaxed) + 3)
    }
}
