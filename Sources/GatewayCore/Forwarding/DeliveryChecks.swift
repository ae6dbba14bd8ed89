import NIOCore

/// Looks at the records of messages that can be delivered no longer, on one event loop.
final class DeliveryChecks {
    private let eventLoop: any EventLoop
    private let wallClock: @Sendable () -> UnixTimestamp
    private let onOverdue: (MessageReference, _ standsFor: Int) -> Void
    private let checks: RecordChecks<DeliveryWatch.Message>
    private var counts = DeliveryInstruments()
    private var watch = DeliveryWatch()
    private var isTimerSet = false

    /// - Parameter onOverdue: called for messages that nobody has reported, where they were accepted with a reference.
    init(
        _ store: any IdempotencyStore, on eventLoop: any EventLoop, wallClock: @escaping @Sendable () -> UnixTimestamp,
        onOverdue: @escaping (MessageReference, _ standsFor: Int) -> Void
    ) {
        (self.eventLoop, self.wallClock, self.onOverdue) = (eventLoop, wallClock, onOverdue)
        checks = RecordChecks(store, on: eventLoop, scope: \.scope)
        checks.read = { [weak self] in self?.looked(at: $0, $1) }
    }

    /// Of those that may be delivered yet, and those that have been looked at.
    var counted: DeliveryInstruments {
        var counts = counts
        counts.pending(watch.pending)
        return counts
    }

    /// - Parameter reference: for the event of one that nobody reports; nil: there is none.
    func accepted(
        _ scope: IdempotencyScope, _ binding: Receipt.Binding, skill: Int, expiry: TimeAmount,
        _ reference: @autoclosure () -> MessageReference?
    ) {
        watch.accepted(scope, binding, skill: skill, expiry: expiry, reference(), now: eventLoop.now)
        setTimer()
    }

    /// Forgets the messages of skills that report none any more, by labels.
    func keep(only skills: Set<Int>) {
        watch.keep(only: skills)
        checks.forget { !skills.contains($0.skill) }
    }

    private func setTimer() {
        guard !isTimerSet, !watch.isEmpty else { return }
        isTimerSet = true
        eventLoop.assumeIsolated().scheduleTask(in: DeliveryWatch.step) { [weak self] in
            guard let self else { return }
            isTimerSet = false
            checks.begin(watch.takeDue(now: eventLoop.now))
            setTimer()
        }
    }

    /// Of a message whose record is gone, is another's by now, or cannot be read, it is not known.
    private func looked(at message: DeliveryWatch.Message, _ report: KeyReport?) {
        let now = wallClock().milliseconds
        let receipt = Receipt(of: message.scope, at: now, binding: message.binding)
        guard let report, case .accepted(let answer) = report.state, let fingerprint = report.fingerprint,
            receipt.isOf(fingerprint, remaining: report.remaining ?? .zero, unixMilliseconds: now)
        else { return }
        counts.ended(message.weight, areReceived: answer.receivedAt != nil, skill: message.skill)
        if answer.receivedAt == nil, let reference = message.reference { onOverdue(reference, message.weight) }
    }
}
