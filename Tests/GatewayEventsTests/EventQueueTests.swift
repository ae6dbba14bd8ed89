import GatewayCore
import NIOCore
import Testing

@testable import GatewayEvents

@Suite struct EventQueueTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    /// It goes on with whatever the queue waits for.
    private var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private var queue = EventQueue()

    private mutating func add(_ id: String, caller: String? = nil) {
        let time = UnixTimestamp(seconds: 0, nanoseconds: 0)
        let event =
            caller.map { GatewayEvent(.userGone(userID: "u", skill: "s", caller: $0), at: time) }
            ?? GatewayEvent(.circuitOpened(.europe), at: time)
        queue.add(event, id: id, now: now)
    }

    /// The next to be sent, as soon as it may be; nil: there is none, or others have to end first.
    private mutating func next() -> EventQueue.Entry? {
        while true {
            switch queue.next(now: now) {
            case .send(let entry): return entry
            case .wait(let due): now = due
            case .rest: return nil
            }
        }
    }

    private mutating func fail(_ entry: EventQueue.Entry, retryAfter: Duration? = nil, random: Double = 0) {
        queue.deliveryFailed(entry, .refused, retryAfter: retryAfter, random: random, now: now)
    }

    private var seconds: Double { Double((now - start).nanoseconds) / 1e9 }

    @Test mutating func `four are sent at once, and the rest when those are over`() {
        for number in 0..<6 { add("\(number)") }
        var sent: [EventQueue.Entry] = []
        while let entry = next() { sent.append(entry) }
        #expect(sent.map(\.id) == ["0", "1", "2", "3"] && queue.count == 6)
        queue.delivered(sent[1], now: now)
        let fifth = next()
        let none = next()
        #expect(fifth?.id == "4" && none == nil && now == start)
        #expect(queue.statistics.count(.circuitOpened, .delivered) == 1 && queue.count == 5)
    }

    @Test mutating func `one that fails is tried again with the same id, later each time`() throws {
        add("a")
        var times: [Double] = []
        for _ in 0..<9 {
            let entry = try #require(next())
            #expect(entry.id == "a")
            times.append(seconds)
            fail(entry)
        }
        let pauses = zip(times.dropFirst(), times).map { $0 - $1 }
        #expect(pauses == [5, 15, 45, 135, 405, 900, 900, 900])
        #expect(queue.statistics.failures == [.refused: 9])
    }

    @Test mutating func `jitter makes a pause longer, never shorter`() throws {
        add("a")
        let first = try #require(next())
        fail(first, random: 0.999)
        _ = next()
        #expect(seconds > 5.9 && seconds < 6)
    }

    @Test mutating func `while nothing gets through, one is tried at a time, with growing pauses`() throws {
        for number in 0..<100 { add("\(number)") }
        let first = try #require(next())
        fail(first)
        var times: [Double] = []
        for _ in 0..<8 {
            let entry = try #require(next())
            let other = next()
            #expect(other == nil)
            times.append(seconds)
            fail(entry)
        }
        // The pauses double, up to a minute.
        #expect(times == [1, 3, 7, 15, 31, 63, 123, 183])
        let lucky = try #require(next())
        queue.delivered(lucky, now: now)
        let time = now
        var sent: [EventQueue.Entry] = []
        while let entry = next() { sent.append(entry) }
        #expect(sent.count == 4 && now == time)
    }

    @Test mutating func `what failed while the receiver was away is tried at once when it is back`() throws {
        for number in 0..<4 { add("\(number)") }
        for _ in 0..<4 {
            let entry = try #require(next())
            fail(entry)
        }
        add("late")
        let lucky = try #require(next())
        queue.delivered(lucky, now: now)
        let time = now
        var left = 0
        while let entry = next() {
            queue.delivered(entry, now: now)
            left += 1
        }
        #expect(left == 4 && now == time && queue.count == 0)
    }

    @Test mutating func `an event that the receiver refuses does not keep the others`() throws {
        add("poison")
        let poison = try #require(next())
        for number in 0..<20 { add("\(number)") }
        fail(poison)
        var delivered = 0
        while let entry = next() {
            if entry.id == "poison" {
                fail(entry)
                if delivered == 20 { break }
                continue
            }
            queue.delivered(entry, now: now)
            delivered += 1
        }
        // A second's pause behind each of its attempts.
        #expect(delivered == 20 && seconds < 10)
    }

    @Test mutating func `a receiver says how long it wants to be left alone, within bounds`() throws {
        add("a")
        let first = try #require(next())
        fail(first, retryAfter: .seconds(120))
        let second = try #require(next())
        #expect(seconds == 120)
        fail(second, retryAfter: .seconds(86_400))
        _ = next()
        #expect(seconds == 120 + 3600)
    }

    @Test mutating func `an event is given up after a day`() throws {
        add("a")
        while let entry = next() { fail(entry) }
        #expect(seconds > 86_400 && seconds < 86_400 + 2 * 900)
        #expect(queue.count == 0 && queue.statistics.count(.circuitOpened, .expired) == 1)
    }

    @Test mutating func `a flood of one caller costs nobody else an event or a turn`() throws {
        add("circuit")
        for number in 0..<100 { add("quiet \(number)", caller: "quiet") }
        for number in 0..<10_000 { add("flood \(number)", caller: "flood") }
        #expect(queue.count == 500 && queue.statistics.count(.userGone, .overflow) == 10_101 - 500)
        var sent: [String] = []
        while let entry = next() {
            sent.append(entry.id)
            queue.delivered(entry, now: now)
        }
        #expect(sent.prefix(3) == ["circuit", "quiet 0", "flood 9601"])
        #expect(sent.count == 500 && sent.count { $0.hasPrefix("quiet") } == 100)
        #expect(sent.last == "flood 9999")
    }

    @Test mutating func `nobody wants them any more`() throws {
        for number in 0..<3 { add("\(number)") }
        let first = try #require(next())
        let second = try #require(next())
        fail(second)
        queue.discardAll()
        #expect(queue.count == 1 && queue.statistics.count(.circuitOpened, .discarded) == 2)
        queue.delivered(first, now: now)
        #expect(queue.count == 0)
    }
}
