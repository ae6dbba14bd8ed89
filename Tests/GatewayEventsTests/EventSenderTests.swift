import GatewayCore
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import GatewayEvents

/// Deliveries whose ends are in the test's hands, on a loop whose time the test moves.
@Suite struct EventSenderTests {
    private final class Receiver: Sendable {
        private let state = Mutex<[(id: String, then: @Sendable (EventSender.Outcome) -> Void)]>([])
        private let noticed = Mutex<[EventSender.Notice]>([])

        var waiting: [String] { state.withLock { $0.map(\.id) } }
        var notices: [EventSender.Notice] { noticed.withLock { $0 } }

        func post(_ event: CloudEvent, then: @escaping @Sendable (EventSender.Outcome) -> Void) {
            state.withLock { $0.append((event.id, then)) }
        }

        func notice(_ notice: EventSender.Notice) { noticed.withLock { $0.append(notice) } }

        func answer(_ result: EventSender.Outcome) { state.withLock { $0.removeFirst() }.then(result) }
    }

    private let loop = EmbeddedEventLoop()
    private let receiver = Receiver()
    private let sender: EventSender
    private static let failure = EventSender.Outcome.failed(.error, detail: "status 500", retryAfter: nil)

    init() {
        let numbers = Numbers()
        sender = EventSender(
            host: "h", timers: loop, makeID: { numbers.next() }, random: { 0 },
            onNotice: { [receiver] in receiver.notice($0) })
    }

    private final class Numbers: Sendable {
        private let last = Atomic<Int>(0)

        func next() -> String { "\(last.add(1, ordering: .relaxed).newValue)" }
    }

    private func report() {
        sender.report(GatewayEvent(.circuitOpened(.europe), at: UnixTimestamp(seconds: 0, nanoseconds: 0)))
        loop.run()
    }

    private func use() {
        sender.use { [receiver] in receiver.post($0, then: $1) }
        loop.run()
    }

    private func answer(_ result: EventSender.Outcome) {
        receiver.answer(result)
        loop.run()
    }

    @Test func `without a receiver nothing is kept`() {
        report()
        use()
        #expect(receiver.waiting.isEmpty && sender.statistics.queued == 0)
    }

    @Test func `an event is delivered once, and again if it has failed`() {
        use()
        report()
        #expect(receiver.waiting == ["1"])
        answer(Self.failure)
        #expect(receiver.waiting.isEmpty && receiver.notices == [.failed(detail: "status 500")])
        loop.advanceTime(by: .milliseconds(4_999))
        #expect(receiver.waiting.isEmpty)
        loop.advanceTime(by: .milliseconds(1))
        #expect(receiver.waiting == ["1"])
        answer(.delivered)
        #expect(receiver.notices.last == .delivered && sender.statistics.queued == 0)
        loop.advanceTime(by: .hours(24))
        #expect(receiver.waiting.isEmpty)
    }

    @Test func `another receiver gets what is queued at once, and what the last one fails to take`() {
        use()
        report()
        answer(Self.failure)
        // The pause was the last receiver's.
        for _ in 0..<9 { report() }
        #expect(receiver.waiting.isEmpty)
        use()
        #expect(receiver.waiting.count == 8)
        let other = Receiver()
        sender.use { other.post($0, then: $1) }
        loop.run()
        answer(Self.failure)
        #expect(other.waiting.count == 1)
        for _ in 0..<7 { answer(.delivered) }
        #expect(other.waiting.count == 3 && sender.statistics.queued == 3)
    }

    @Test(arguments: [true, false])
    func `no receiver any more: what is queued is discarded, and what is under way when it ends`(isDelivered: Bool) {
        use()
        for _ in 0..<10 { report() }
        sender.use(nil)
        loop.run()
        for _ in 0..<8 { answer(isDelivered ? .delivered : Self.failure) }
        #expect(sender.statistics.queued == 0)
        #expect(sender.statistics.statistics.count(.circuitOpened, .discarded) == (isDelivered ? 2 : 10))
        use()
        report()
        #expect(receiver.waiting == ["11"])
    }

    @Test(arguments: [0, 1, 2])
    func `the process ends when each event has had an attempt, and says what is left`(failures: Int) {
        use()
        report()
        answer(Self.failure)
        report()
        // In the pause behind the failure.
        #expect(receiver.waiting.isEmpty)
        let isOver = Atomic<Bool>(false)
        sender.finish(within: .seconds(2)).assumeIsolated().whenSuccess { isOver.store(true, ordering: .relaxed) }
        loop.run()
        #expect(receiver.waiting.count == 2)
        for number in 0..<2 { answer(number < failures ? Self.failure : .delivered) }
        #expect(isOver.load(ordering: .relaxed) == true)
        let notices = receiver.notices.filter { if case .undelivered = $0 { true } else { false } }
        #expect(notices == (failures == 0 ? [] : [.undelivered(count: failures)]))
        report()
        #expect(receiver.waiting.isEmpty)
    }

    @Test func `a receiver that hangs keeps the process for no longer than it may`() {
        use()
        report()
        let isOver = Atomic<Bool>(false)
        sender.finish(within: .seconds(2)).assumeIsolated().whenSuccess { isOver.store(true, ordering: .relaxed) }
        loop.advanceTime(by: .milliseconds(1_999))
        #expect(isOver.load(ordering: .relaxed) == false)
        loop.advanceTime(by: .milliseconds(1))
        #expect(isOver.load(ordering: .relaxed) && receiver.notices == [.undelivered(count: 1)])
        answer(.delivered)
    }
}
