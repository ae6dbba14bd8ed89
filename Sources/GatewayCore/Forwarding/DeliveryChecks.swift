import NIOCore

/// Looks at the records of messages that can be delivered no longer, on one event loop.
final class DeliveryChecks {
    private let eventLoop: any EventLoop
    private let checks: RecordChecks<DeliveryWatch.Message>
    private let counts: Counts
    private var watch = DeliveryWatch()
    private var isTimerSet = false

    /// - Parameter onOverdue: called for messages that nobody has reported, where they were accepted with a reference.
    init(
        _ store: any IdempotencyStore, on eventLoop: any EventLoop, wallClock: @escaping @Sendable () -> UnixTimestamp,
        onOverdue: @escaping (MessageReference, _ standsFor: Int) -> Void
    ) {
        self.eventLoop = eventLoop
        let counts = Counts()
        self.counts = counts
        checks = RecordChecks(store, on: eventLoop, scope: \.scope) { message, report in
            guard let isReceived = message.isReceived(by: report, unixMilliseconds: wallClock().milliseconds) else {
                return
            }
            counts.value.ended(message.weight, areReceived: isReceived, skill: message.skill)
            if !isReceived, let reference = message.reference { onOverdue(reference, message.weight) }
        }
    }

    /// Of those that have been looked at.
    private final class Counts {
        var value = DeliveryInstruments()
    }

    /// Of those that may be delivered yet, and those that have been looked at.
    var counted: DeliveryInstruments {
        var counts = counts.value
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
}

extension DeliveryWatch.Message {
    /// Whether its skill has reported it; nil if that is not known: its record is gone, is another's by now, or cannot be read.
    fileprivate func isReceived(by report: KeyReport?, unixMilliseconds now: Int64) -> Bool? {
        let receipt = Receipt(of: scope, at: now, binding: binding)
        guard let report, case .accepted(let answer) = report.state, let fingerprint = report.fingerprint,
            receipt.isOf(fingerprint, remaining: report.remaining ?? .zero, unixMilliseconds: now)
        else { return nil }
        return answer.receivedAt != nil
    }
}
