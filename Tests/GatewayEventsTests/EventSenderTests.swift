import GatewayCore
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import GatewayEvents

/// Deliveries whose ends are in the test's hands, on a loop whose time the test moves.
@Suite struct EventSenderTests {
    private final class Receiver: Sendable {
        private let state = Mutex<[(id: String, then: @Sendable (EventSender.Result) -> Void)]>([])
        private let noticed = Mutex<[EventSender.Notice]>([])

        var waiting: [String] { state.withLock { $0.map(\.id) } }
        var notices: [EventSender.Notice] { noticed.withLock { $0 } }

        func post(_ event: CloudEvent, then: @escaping @Sendable (EventSender.Result) -> Void) {
            state.withLock { $0.append((event.id, then)) }
        }

        func notice(_ notice: EventSender.Notice) { noticed.withLock { $0.append(notice) } }

        func answer(_ result: EventSender.Result) { state.withLock { $0.removeFirst() }.then(result) }
    }

    private let loop = EmbeddedEventLoop()
    private let receiver = Receiver()
    private let sender: EventSender
    private static let failure = EventSender.Result.failed(.refused, detail: "status 500", retryAfter: nil)

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

    private func answer(_ result: EventSender.Result) {
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

    @Test func `another receiver gets what is queued`() {
        use()
        for _ in 0..<5 { report() }
        #expect(receiver.waiting.count == 4)
        let other = Receiver()
        sender.use { other.post($0, then: $1) }
        loop.run()
        answer(.delivered)
        #expect(other.waiting == ["5"] && receiver.waiting.count == 3)
    }

    @Test func `no receiver any more: what is queued is discarded, and what is under way ends`() {
        use()
        for _ in 0..<6 { report() }
        sender.use(nil)
        loop.run()
        for _ in 0..<4 { answer(.delivered) }
        #expect(sender.statistics.queued == 0)
        #expect(sender.statistics.ended.count(.circuitOpened, .discarded) == 2)
        #expect(sender.statistics.ended.count(.circuitOpened, .delivered) == 4)
        use()
        report()
        #expect(receiver.waiting == ["7"])
    }

    @Test(arguments: [1, 2])
    func `the process ends when the last is delivered, or after a while, and says what is left`(
        answers: Int
    ) {
        use()
        for _ in 0..<2 { report() }
        let isOver = Atomic<Bool>(false)
        sender.finish(atMost: .seconds(2)).assumeIsolated().whenSuccess { isOver.store(true, ordering: .relaxed) }
        for _ in 0..<answers { answer(.delivered) }
        #expect(isOver.load(ordering: .relaxed) == (answers == 2))
        loop.advanceTime(by: .seconds(2))
        #expect(isOver.load(ordering: .relaxed) && receiver.notices == (answers == 2 ? [] : [.left(1)]))
        report()
        #expect(receiver.waiting.count == 2 - answers)
    }
}
