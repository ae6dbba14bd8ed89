import NIOCore

/// Looks at the records of messages that can be delivered no longer, on one event loop.
final class DeliveryChecks {
    /// Asked for at once, and the pause behind them: a store has more to do than this.
    private static let batch = 200
    private static let pause = TimeAmount.milliseconds(50)

    private let store: any IdempotencyStore
    private let eventLoop: any EventLoop
    private let wallClock: @Sendable () -> UnixTimestamp
    private var counts = DeliveryInstruments()
    private var watch = DeliveryWatch()
    private var due = CircularBuffer<DeliveryWatch.Message>()
    private var isTimerSet = false

    init(
        _ store: any IdempotencyStore, on eventLoop: any EventLoop, wallClock: @escaping @Sendable () -> UnixTimestamp
    ) {
        (self.store, self.eventLoop, self.wallClock) = (store, eventLoop, wallClock)
    }

    /// Of those that may be delivered yet, and those that have been looked at.
    var counted: DeliveryInstruments {
        var counts = counts
        counts.pending(watch.pending)
        return counts
    }

    func accepted(_ scope: IdempotencyScope, _ binding: Receipt.Binding, skill: Int, expiry: TimeAmount) {
        watch.accepted(scope, binding, skill: skill, expiry: expiry, now: eventLoop.now)
        setTimer()
    }

    /// Forgets the messages of skills that report none any more, by labels.
    func keep(only skills: Set<Int>) {
        watch.keep(only: skills)
        due.removeAll { !skills.contains($0.skill) }
    }

    private func setTimer() {
        guard !isTimerSet, !watch.isEmpty || !due.isEmpty else { return }
        isTimerSet = true
        eventLoop.assumeIsolated().scheduleTask(in: due.isEmpty ? DeliveryWatch.step : Self.pause) { [weak self] in
            self?.isTimerSet = false
            self?.look()
            self?.setTimer()
        }
    }

    private func look() {
        due += watch.takeDue(now: eventLoop.now)
        for message in due.prefix(Self.batch) {
            switch store.report(on: message.scope, on: eventLoop) {
            case .now(let report): looked(at: message, report)
            case .later(let future): future.assumeIsolated().whenSuccess { self.looked(at: message, $0) }
            }
        }
        due.removeFirst(min(Self.batch, due.count))
    }

    /// Of a message whose record is gone, is another's by now, or cannot be read, it is not known.
    private func looked(at message: DeliveryWatch.Message, _ report: KeyReport?) {
        let now = wallClock().milliseconds
        let receipt = Receipt(of: message.scope, at: now, binding: message.binding)
        guard let report, case .accepted(let answer) = report.state, let fingerprint = report.fingerprint,
            receipt.isOf(fingerprint, remaining: report.remaining ?? .zero, unixMilliseconds: now)
        else { return }
        counts.ended(message.weight, areReceived: answer.receivedAt != nil, skill: message.skill)
    }
}
