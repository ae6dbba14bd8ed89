import Foundation
import Synchronization
import TestSupport
import Testing
import TokenEndpointClient

/// A skill that Amazon throttles, and two callers of which one floods.
@Suite(.serialized) struct FairShareTests {
    private static let floodKey = "flood-canary-0123456789"
    private static let callers = """
          - {name: flood, apiKeys: [{file: flood-key}], skills: [weather]}
          - {name: quiet, apiKeys: [{file: quiet-key}], skills: [weather], weight: 20}
        """
    private static let quietKey = "quiet-canary-0123456789"

    private static func prepare(_ folder: URL) throws {
        try TestBed.write(floodKey, to: "flood-key", in: folder)
        try TestBed.write(quietKey, to: "quiet-key", in: folder)
    }

    /// What has come of the flood so far.
    private final class Flood: Sendable {
        private let answers = Mutex<[RawConnection.Response]>([])
        private let isOver = Atomic<Bool>(false)

        var count: Int { answers.withLock { $0.count } }
        var all: [RawConnection.Response] { answers.withLock { $0 } }

        var hasEnded: Bool { isOver.load(ordering: .relaxed) }

        func stop() { isOver.store(true, ordering: .relaxed) }

        /// One message after the other.
        func run(over number: Int, to bed: TestBed) async throws {
            // Whoever waits for its answers does not wait for ever.
            defer { stop() }
            try await RawConnection.with(port: bed.port) { connection in
                while !self.isOver.load(ordering: .relaxed) {
                    let request = bed.request(user: "NA-f\(number)", authorization: "Bearer \(FairShareTests.floodKey)")
                    let answer = try #require(try await connection.exchange(request))
                    self.answers.withLock { $0.append(answer) }
                }
            }
        }
    }

    /// Floods a gateway, and sends forty messages of the other caller to another one meanwhile.
    ///
    /// - Returns: the answers to both.
    private func flood(
        _ bed: TestBed, quietAt other: TestBed
    ) async throws -> (flood: [RawConnection.Response], quiet: [RawConnection.Response]) {
        let flood = Flood()
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            defer { flood.stop() }
            for number in 0..<12 { tasks.addTask { try await flood.run(over: number, to: bed) } }
            var quiet: [RawConnection.Response] = []
            for number in 0..<40 {
                // Far fewer than the flood's, and not only at its beginning.
                while flood.count < (number + 1) * 100 && !flood.hasEnded { await Task.yield() }
                let request = bed.request(user: "NA-q\(number)", authorization: "Bearer \(Self.quietKey)")
                let answer = try await RawConnection.with(port: other.port) { try await $0.exchange(request) }
                quiet.append(try #require(answer))
            }
            flood.stop()
            try await tasks.waitForAll()
            return (flood.all, quiet)
        }
    }

    @Test func `a flood is held to its share, and the other caller sees no 429`() async throws {
        let faults = #"{"NA": {"ratePerSecond": 100}}"#
        try await TestBed.run(faults: faults, callers: Self.callers, prepare: Self.prepare) { bed in
            let answers = try await flood(bed, quietAt: bed)
            let refused = answers.quiet.filter { $0.status != 202 }
            #expect(refused.isEmpty, "\(refused.map(\.content)) of \(answers.quiet.count)")
            #expect(Set(answers.flood.map(\.status)).isSubset(of: [202, 429]))
            let refusal = try #require(answers.flood.last { $0.content.contains("skill-quota") })
            #expect(refusal.field("Retry-After").flatMap { Int($0) } ?? 0 > 0)
            let page = try await TestBed.transfer("GET", bed.adminURL + "/metrics").text
            let quota = try #require(
                page.firstMatch(of: /skillgate_upstream_skill_quota\{region="NA",skill="weather"\} ([0-9.]+)/))
            #expect((1...200).contains(Double(quota.1) ?? 0))
        }
    }

    @Test func `replicas divide between the callers of all of them`() async throws {
        let redis = try RedisProcess.plain()
        try await redis.start()
        do {
            try await TestBed.run(
                configuration: "idempotency: {store: redis, redis: {url: 'redis://127.0.0.1:\(redis.port)'}}",
                faults: #"{"NA": {"ratePerSecond": 100}}"#, callers: Self.callers, prepare: Self.prepare
            ) { one in
                try await one.untilStore(isUp: true)
                try await one.withReplica { two in
                    try await two.untilStore(isUp: true)
                    let answers = try await flood(one, quietAt: two)
                    let refused = answers.quiet.filter { $0.status != 202 }
                    #expect(refused.isEmpty, "\(refused.map(\.content)) of \(answers.quiet.count)")
                }
            }
        } catch {
            await redis.stop()
            throw error
        }
        await redis.stop()
    }
}
