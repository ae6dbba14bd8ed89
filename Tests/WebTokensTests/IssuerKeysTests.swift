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

    /// Whether a key is there; does not wait for one.
    private func has(_ id: String, _ keys: IssuerKeys, _ loop: EmbeddedEventLoop) -> Bool {
        if case .now(.found) = keys.key(Self.name(id), on: loop) { true } else { false }
    }

    /// What became of waiting for a key, once it is known.
    private final class Waiting: Sendable {
        let found = Mutex<String?>(nil)

        init(_ name: KeySet.Name, _ keys: IssuerKeys, _ loop: EmbeddedEventLoop) {
            switch keys.key(name, on: loop) {
            case .now(let lookup): tell(lookup)
            case .later(let lookup): lookup.whenSuccess { self.tell($0) }
            }
        }

        private func tell(_ lookup: IssuerKeys.Lookup) {
            found.withLock {
                switch lookup {
                case .found: $0 = "found"
                case .none: $0 = "none"
                case .unavailable: $0 = "unavailable"
                }
            }
        }

        var outcome: String? { found.withLock { $0 } }
    }

    @Test func `one fetch is for all who wait`() async throws {
        oneFetch(Source([.success(try await Self.set(TestIssuer()))]))
    }

    private func oneFetch(_ source: Source) {
        let loop = EmbeddedEventLoop()
        let keys = IssuerKeys(
            algorithms: [.es256], fetch: source.fetch, eventLoop: loop, generation: KeyGeneration())
        let waiting = (0..<100).map { _ in Waiting(Self.name("key-1"), keys, loop) }
        #expect(waiting.allSatisfy { $0.outcome == nil })
        loop.run()
        #expect(waiting.allSatisfy { $0.outcome == "found" } && source.asked.load(ordering: .relaxed) == 1)
        #expect(has("key-1", keys, loop))
        keys.stop()
    }

    @Test func `so many wait, and no more, and none for what never comes`() async throws {
        bounded(Source([.success(try await Self.set(TestIssuer()))]))
    }

    private func bounded(_ source: Source) {
        let loop = EmbeddedEventLoop()
        let keys = IssuerKeys(
            algorithms: [.es256], fetch: source.fetch, eventLoop: loop, generation: KeyGeneration())
        let waiting = (0...IssuerKeys.maximumWaiters).map { Waiting(Self.name("\($0)"), keys, loop) }
        #expect(waiting.dropLast().allSatisfy { $0.outcome == nil } && waiting.last?.outcome == "unavailable")
        loop.run()
        #expect(waiting.dropLast().allSatisfy { $0.outcome == "none" })
        // An algorithm that is not configured, and a key for another.
        for name in [KeySet.Name(keyID: "2", algorithm: "HS256"), KeySet.Name(keyID: "key-1", algorithm: "RS256")] {
            #expect(Waiting(name, keys, loop).outcome == "none")
        }
        let last = Waiting(Self.name("2"), keys, loop)
        keys.stop()
        #expect(last.outcome == "unavailable" && Waiting(Self.name("3"), keys, loop).outcome == "unavailable")
        #expect(source.asked.load(ordering: .relaxed) == 1)
    }

    /// The set was read before the key was in it: the next fetch tells.
    @Test func `a fetch that began before a token came does not tell that its key is not there`() async throws {
        let (old, new) = (TestIssuer(keyID: "old"), TestIssuer(keyID: "new"))
        tooEarly(Source([.success(try await Self.set(old)), .success(try await Self.set(old, new))]))
    }

    private func tooEarly(_ source: Source) {
        let loop = EmbeddedEventLoop()
        let keys = IssuerKeys(
            algorithms: [.es256], fetch: source.fetch, eventLoop: loop, generation: KeyGeneration())
        keys.start()
        loop.advanceTime(by: .nanoseconds(0))
        let first = Waiting(Self.name("unknown"), keys, loop)
        #expect(source.asked.load(ordering: .relaxed) == 1)
        loop.advanceTime(by: .milliseconds(500))
        let second = Waiting(Self.name("new"), keys, loop)
        loop.advanceTime(by: .milliseconds(600))
        #expect(second.outcome == "found" && first.outcome == "none" && source.asked.load(ordering: .relaxed) == 2)
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
            algorithms: [.es256], fetch: source.fetch, eventLoop: loop, generation: generation, random: { 0.5 },
            onFailure: { _ in failures.add(1, ordering: .relaxed) })
        keys.start()
        loop.run()
        #expect(has("old", keys, loop) && generation.current == 0)
        // A token with a new key is there before the set is asked for in its turn.
        loop.advanceTime(by: .seconds(2))
        let early = Waiting(Self.name("new"), keys, loop)
        loop.run()
        #expect(early.outcome == "found" && has("old", keys, loop) && generation.current == 0)
        loop.advanceTime(by: .minutes(5))
        #expect(has("new", keys, loop) && generation.current == 1)
        for _ in 0..<60 {
            loop.advanceTime(by: .minutes(1))
            #expect(has("new", keys, loop))
        }
        #expect(failures.load(ordering: .relaxed) > 30 && keys.statistics().isFailing && keys.statistics().keys == 1)
        // Nobody knows whether the issuer has another by now.
        let unknown = Waiting(Self.name("unknown"), keys, loop)
        loop.run()
        #expect(unknown.outcome == "unavailable")
        keys.stop()
        // No timer is left.
        loop.advanceTime(by: .hours(1))
        #expect(source.asked.load(ordering: .relaxed) == failures.load(ordering: .relaxed) + 3)
    }
}
