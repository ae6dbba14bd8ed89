import GatewayCore
import NIOCore
import Testing

@testable import GatewayEvents

@Suite struct EventQueueTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    /// It goes on with whatever the queue waits for.
    private var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private var queue = EventQueue()
    private var displaced = 0

    private mutating func add(_ id: String, caller: String? = nil) {
        let time = UnixTimestamp(seconds: 0, nanoseconds: 0)
        let event =
            caller.map { GatewayEvent(.userGone(userID: "u", skill: "s", caller: $0), at: time) }
            ?? GatewayEvent(.circuitOpened(.europe), at: time)
        displaced += queue.add(event, id: id, now: now) == nil ? 0 : 1
    }

    /// The next to be sent, as soon as it may be; nil: there is none, or others have to end first.
    private mutating func next() -> EventQueue.Entry? {
        while true {
            switch queue.next(now: now) {
            case .send(let entry): return entry
            case .wait(let due): now = due
            case .idle: return nil
            }
        }
    }

    private mutating func fail(
        _ entry: EventQueue.Entry, _ reason: EventStatistics.FailureReason = .error, retryAfter: Duration? = nil,
        random: Double = 0
    ) {
        queue.deliveryFailed(entry, reason, retryAfter: retryAfter, random: random, now: now)
    }

    private var seconds: Double { Double((now - start).nanoseconds) / 1e9 }

    @Test mutating func `eight are sent at once, and the rest when those are over`() {
        for number in 0..<10 { add("\(number)") }
        var sent: [EventQueue.Entry] = []
        while let entry = next() { sent.append(entry) }
        #expect(sent.map(\.id) == ["0", "1", "2", "3", "4", "5", "6", "7"] && queue.count == 10)
        queue.delivered(sent[1], now: now)
        let ninth = next()
        let none = next()
        #expect(ninth?.id == "8" && none == nil && now == start)
        #expect(queue.statistics.count(.circuitOpened, .delivered) == 1 && queue.count == 9)
    }

    @Test mutating func `one that fails is tried again with the same id, later each time`() throws {
        add("a")
        var times: [Double] = []
        for _ in 0..<9 {
            let entry = try #require(next())
            #expect(entry.id == "a")
            times.append(seconds)
            fail(entry, .rejected)
        }
        let pauses = zip(times.dropFirst(), times).map { $0 - $1 }
        #expect(pauses == [5, 15, 45, 135, 405, 900, 900, 900])
        #expect(queue.statistics.failures == [.rejected: 9])
    }

    @Test mutating func `jitter makes a pause longer, never shorter`() throws {
        for number in 0..<2 { add("\(number)") }
        let first = try #require(next())
        fail(first, random: 0.999)
        _ = next()
        #expect(seconds > 1.19 && seconds < 1.2)
    }

    @Test mutating func `while the receiver is down, one is tried at a time, with growing pauses`() throws {
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
        #expect(sent.count == 8 && now == time)
    }

    @Test mutating func `events that the receiver rejects do not keep the others`() throws {
        for number in 0..<4 { add("poison \(number)") }
        for number in 0..<20 { add("\(number)") }
        var (delivered, rejected) = (0, 0)
        while let entry = next() {
            if entry.id.hasPrefix("poison") {
                fail(entry, .rejected)
                rejected += 1
                if rejected == 9 { break }
            } else {
                #expect(now == start)
                queue.delivered(entry, now: now)
                delivered += 1
            }
        }
        #expect(delivered == 20 && seconds == 20)
    }

    @Test mutating func `a receiver says how long it wants to be left alone, within bounds`() throws {
        add("a")
        add("b")
        let (first, second) = (try #require(next()), try #require(next()))
        fail(first, retryAfter: .seconds(120))
        // A success that was on its way does not end the pause.
        queue.delivered(second, now: now)
        let again = try #require(next())
        #expect(seconds == 120)
        fail(again, retryAfter: .seconds(86_400))
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
        for number in 0..<100_000 { add("flood \(number)", caller: "flood") }
        #expect(queue.count == 20_000 && displaced == 80_101)
        #expect(queue.statistics.count(.userGone, .overflow) == 80_101)
        var sent: [String] = []
        while let entry = next() {
            sent.append(entry.id)
            queue.delivered(entry, now: now)
        }
        #expect(sent.prefix(3) == ["circuit", "quiet 0", "flood 80101"])
        #expect(sent.count == 20_000 && sent.count { $0.hasPrefix("quiet") } == 100)
        #expect(sent.last == "flood 99999")
    }

    @Test mutating func `whoever has most makes room, whether they have failed or not`() throws {
        add("circuit")
        for number in 0..<15_000 { add("failed \(number)", caller: "flood") }
        while case .send(let entry) = queue.next(now: now) { fail(entry, .rejected) }
        #expect(displaced == 0 && queue.count == 15_001)
        for number in 0..<9_000 { add("new \(number)", caller: "new") }
        #expect(queue.count == 20_000 && displaced == 4_001)
        var left: [String: Int] = [:]
        while case .send(let entry) = queue.next(now: now + .seconds(5)) {
            left[String(entry.id.prefix { $0 != " " }), default: 0] += 1
            queue.delivered(entry, now: now)
        }
        #expect(left == ["circuit": 1, "failed": 10_999, "new": 9_000])
    }

    @Test mutating func `failures at the same time are one`() throws {
        for number in 0..<8 { add("\(number)") }
        var sent: [EventQueue.Entry] = []
        while let entry = next() { sent.append(entry) }
        now = now + .milliseconds(10)
        for entry in sent { fail(entry) }
        add("late")
        let late = try #require(next())
        #expect(late.id == "late" && seconds == 1.01)
    }

    @Test mutating func `one that nobody wants any more is not sent again`() throws {
        add("a")
        let entry = try #require(next())
        queue.keep(only: [.userGone])
        fail(entry)
        add("b")
        #expect(queue.count == 0 && queue.statistics.count(.circuitOpened, .discarded) == 1)
    }

    @Test mutating func `another receiver is not held to what the last one did`() throws {
        for number in 0..<3 { add("\(number)") }
        let (first, second) = (try #require(next()), try #require(next()))
        fail(first, retryAfter: .seconds(600))
        queue.receiverChanged()
        // Fails at the last one, and has not been tried here.
        fail(second)
        var entries: [EventQueue.Entry] = []
        while let entry = next() { entries.append(entry) }
        #expect(Set(entries.map(\.id)) == ["0", "1", "2"] && now == start)
        for entry in entries { fail(entry, .rejected) }
        _ = next()
        #expect(seconds == 5)
    }

    @Test mutating func `nobody wants them any more`() throws {
        for number in 0..<3 { add("\(number)") }
        let (first, second) = (try #require(next()), try #require(next()))
        fail(second)
        queue.discardAll()
        #expect(queue.count == 1 && queue.statistics.count(.circuitOpened, .discarded) == 2)
        queue.delivered(first, now: now)
        #expect(queue.count == 0)
    }

    @Test mutating func `kinds that nobody wants any more are discarded, failed or not`() throws {
        add("circuit")
        for number in 0..<3 { add("user \(number)", caller: "orders") }
        let circuit = try #require(next())
        let user = try #require(next())
        fail(circuit, .rejected)
        fail(user, .rejected)
        queue.keep(only: [.circuitOpened])
        #expect(queue.count == 1 && queue.statistics.count(.userGone, .discarded) == 3)
        let left = next()
        #expect(left?.id == "circuit")
    }

    @Test mutating func `the age is that of the oldest that waits`() throws {
        #expect(queue.oldestAge(now: now) == .zero)
        add("a")
        let entry = try #require(next())
        now = now + .seconds(2)
        #expect(queue.oldestAge(now: now) == .seconds(2))
        fail(entry)
        now = now + .seconds(1)
        add("b")
        #expect(queue.oldestAge(now: now) == .seconds(3))
    }
}
