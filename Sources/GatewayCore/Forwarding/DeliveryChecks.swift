import NIOCore

/// Looks at the records of messages that can be delivered no longer, on one event loop.
final class DeliveryChecks {
    private let store: any IdempotencyStore
    private let eventLoop: any EventLoop
    private var counts = DeliveryInstruments()
    private var watch = DeliveryWatch()
    private var isTimerSet = false

    init(_ store: any IdempotencyStore, on eventLoop: any EventLoop) {
        (self.store, self.eventLoop) = (store, eventLoop)
    }

    /// Of those that may be delivered yet, and those that have been looked at.
    var counted: DeliveryInstruments {
        var counts = counts
        counts.pending(watch.pending)
        return counts
    }

    func accepted(_ scope: IdempotencyScope, skill: Int, expiry: TimeAmount) {
        watch.accepted(scope, skill: skill, expiry: expiry, now: eventLoop.now)
        setTimer()
    }

    private func setTimer() {
        guard !isTimerSet, !watch.isEmpty else { return }
        isTimerSet = true
        eventLoop.assumeIsolated().scheduleTask(in: DeliveryWatch.step) { [weak self] in
            self?.isTimerSet = false
            self?.look()
            self?.setTimer()
        }
    }

    private func look() {
        for message in watch.takeDue(now: eventLoop.now) {
            switch store.report(on: message.scope, on: eventLoop) {
            case .now(let report): looked(at: message, report)
            case .later(let future): future.assumeIsolated().whenSuccess { self.looked(at: message, $0) }
            }
        }
    }

    /// Of a message whose record is gone, or cannot be read now, it is not known.
    private func looked(at message: DeliveryWatch.Message, _ report: KeyReport?) {
        guard case .accepted(let answer) = report?.state else { return }
        counts.ended(message.weight, areReceived: answer.receivedAt != nil, skill: message.skill)
    }
}
