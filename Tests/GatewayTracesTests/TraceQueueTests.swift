import GatewayCore
import NIOCore
import Testing

@testable import GatewayTraces

@Suite struct TraceQueueTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    /// It goes on with whatever the queue waits for.
    private var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private var queue: TraceQueue
    private var displaced = 0

    init() {
        var configuration = TraceQueue.Configuration()
        (configuration.limit, configuration.batch) = (10, 4)
        queue = TraceQueue(configuration)
    }

    private mutating func add(_ numbers: ClosedRange<UInt64>, caller: String? = "orders") {
        displaced += queue.add(numbers.map { .sample($0, caller: caller) }, now: now)
    }

    /// The next to be sent, as soon as it may be; nil: there is none.
    private mutating func next() -> TraceQueue.Batch? {
        while true {
            switch queue.next(now: now) {
            case .send(let batch): return batch
            case .wait(let due): now = due
            case .idle: return nil
            }
        }
    }

    private static func numbers(_ batch: TraceQueue.Batch?) -> [UInt64]? { batch?.traces.map(\.spanID) }

    private mutating func fail(
        _ batch: TraceQueue.Batch, _ reason: TraceStatistics.FailureReason = .unreachable, retryAfter: Duration? = nil
    ) {
        queue.exportFailed(batch, reason, retryAfter: retryAfter, random: 0, now: now)
    }

    private var seconds: Double { Double((now - start).nanoseconds) / 1e9 }

    @Test mutating func `a full batch goes at once, and one behind the other`() throws {
        add(1...6)
        let first = try #require(next())
        #expect(Self.numbers(first) == [1, 2, 3, 4] && now == start)
        let none = next()
        #expect(none == nil && queue.count == 6)
        queue.exported(first, rejected: 0)
        // The rest waits for more, but not for long.
        let second = try #require(next())
        #expect(Self.numbers(second) == [5, 6] && seconds == 1)
        queue.exported(second, rejected: 1)
        #expect(queue.statistics.spans == [.exported: 5, .rejected: 1] && queue.isEmpty)
    }

    @Test mutating func `a batch that is not taken is tried five times, later each time`() throws {
        add(1...2)
        var times: [Double] = []
        while let batch = next() {
            #expect(Self.numbers(batch) == [1, 2])
            times.append(seconds)
            fail(batch)
        }
        #expect(times == [1, 2, 4, 8, 16])
        #expect(queue.statistics.spans == [.undelivered: 2] && queue.statistics.failures == [.unreachable: 5])
        // The next one is tried as long as the pause lasts apart, until one gets through.
        add(3...6)
        let batch = try #require(next())
        #expect(seconds == 32)
        queue.exported(batch, rejected: 0)
        add(7...10)
        let another = next()
        #expect(another != nil && seconds == 32)
    }

    @Test mutating func `what a collector does not want is not sent again, and it is left alone as long as it asks`()
        throws
    {
        add(1...8)
        fail(try #require(next()), .rejected)
        #expect(queue.statistics.spans == [.rejected: 4])
        let second = try #require(next())
        #expect(now == start)
        fail(second, .error, retryAfter: .seconds(20))
        let again = try #require(next())
        #expect(Self.numbers(again) == Self.numbers(second) && seconds == 20)
        fail(again, .error, retryAfter: .seconds(1_000_000))
        _ = next()
        #expect(seconds == 320)
    }

    @Test mutating func `of too many, the oldest of who has most are lost`() throws {
        add(1...2, caller: "quiet")
        add(3...20, caller: "loud")
        #expect(displaced == 10 && queue.count == 10)
        #expect(queue.statistics.spans == [.overflow: 10])
        // Callers take turns.
        let batch = try #require(next())
        #expect(Self.numbers(batch) == [1, 13, 2, 14])
    }

    @Test mutating func `another collector gets what the last one did not take, at once`() throws {
        add(1...4)
        let batch = try #require(next())
        add(5...8)
        queue.collectorChanged()
        // The last one may hang.
        let other = try #require(next())
        #expect(Self.numbers(other) == [5, 6, 7, 8] && now == start && queue.count == 8)
        queue.exported(other, rejected: 0)
        fail(batch)
        let again = try #require(next())
        #expect(Self.numbers(again) == [1, 2, 3, 4] && now == start && queue.count == 4)
        // One that was waiting for its next try is new to the next collector, too, which may ask for time.
        fail(again)
        queue.collectorChanged()
        let third = try #require(next())
        #expect(now == start)
        fail(third, .error, retryAfter: .seconds(20))
        queue.collectorChanged()
        _ = queue.add([.sample(9)], now: now)
        let fourth = try #require(next())
        #expect(Self.numbers(fourth) == [1, 2, 3, 4] && now == start)
        // Nor does what the last one took late end a pause of this one.
        fail(fourth)
        queue.exported(batch, rejected: 0)
        _ = next()
        #expect(seconds == 1)
    }

    @Test mutating func `without a collector, or at the end, nothing is kept`() throws {
        add(1...6)
        fail(try #require(next()))
        queue.discardAll()
        #expect(queue.isEmpty && queue.statistics.spans == [.discarded: 6])
        add(7...8)
        queue.beginFinalAttempts()
        let last = try #require(next())
        #expect(seconds == 0)
        fail(last)
        #expect(queue.isEmpty && queue.statistics.spans == [.discarded: 8])
    }
}
