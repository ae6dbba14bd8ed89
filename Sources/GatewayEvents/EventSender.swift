package import GatewayCore
package import NIOCore
import Synchronization

/// Delivers events to a receiver. Whoever reports one never waits: it is queued, and sent by others' threads.
///
/// Does what `EventQueue` says.
package final class EventSender: Sendable {
    /// What became of one attempt.
    package enum Result: Sendable {
        case delivered
        /// `detail` is for the log.
        case failed(EventStatistics.FailureReason, detail: String, retryAfter: Duration?)
    }

    /// Makes one attempt. `then` is called once, on any thread.
    package typealias Post = @Sendable (CloudEvent, _ then: @escaping @Sendable (Result) -> Void) -> Void

    /// What there is to be said of deliveries.
    package enum Notice: Equatable, Sendable {
        case failed(detail: String)
        /// After failures.
        case delivered
        /// The process ends, and so many events are not delivered.
        case left(Int)
    }

    private struct State {
        /// Nil: nothing is sent, and nothing kept.
        var post: Post?
        var queue = EventQueue()
        var timer: Scheduled<Void>?
        var isFailing = false
        var whenIdle: EventLoopPromise<Void>?
    }

    private let host: String
    private let timers: any EventLoop
    private let makeID: @Sendable () -> String
    private let random: @Sendable () -> Double
    private let onNotice: @Sendable (Notice) -> Void
    private let state = Mutex(State())

    /// - Parameters:
    ///   - host: the name of the machine or container.
    ///   - timers: runs timers and begins deliveries.
    ///   - makeID: never gives an id twice.
    ///   - random: from 0 up to 1, for jitter.
    package init(
        host: String, timers: any EventLoop, makeID: @escaping @Sendable () -> String,
        random: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) },
        onNotice: @escaping @Sendable (Notice) -> Void
    ) {
        (self.host, self.timers, self.makeID) = (host, timers, makeID)
        (self.random, self.onNotice) = (random, onNotice)
    }

    /// From here on, attempts are made this way; what is queued goes there, too. Nil: nothing is sent, and what is queued is discarded.
    package func use(_ post: Post?) {
        state.withLock { state in
            state.post = post
            if post == nil { state.queue.discardAll() }
        }
        timers.execute { self.send() }
    }

    package func report(_ event: GatewayEvent) {
        let id = makeID()
        let now = timers.now
        let isUsed = state.withLock { state in
            guard state.post != nil else { return false }
            state.queue.add(event, id: id, now: now)
            return true
        }
        if isUsed { timers.execute { self.send() } }
    }

    package var statistics: (ended: EventStatistics, queued: Int) {
        state.withLock { ($0.queue.statistics, $0.queue.count) }
    }

    /// Sends what can be sent within so long; what is left then is lost.
    package func finish(atMost limit: Duration) -> EventLoopFuture<Void> {
        let promise = timers.makePromise(of: Void.self)
        let isIdle = state.withLock { state in
            state.whenIdle = promise
            return state.queue.count == 0
        }
        if isIdle { endWaiting() }
        let timer = timers.scheduleTask(in: TimeAmount(limit)) { self.endWaiting() }
        return promise.futureResult.map {
            timer.cancel()
            let left = self.state.withLock { state in
                state.timer?.cancel()
                (state.post, state.timer) = (nil, nil)
                return state.queue.count
            }
            if left > 0 { self.onNotice(.left(left)) }
        }
    }

    private func endWaiting() {
        state.withLock { state in
            defer { state.whenIdle = nil }
            return state.whenIdle
        }?.succeed()
    }

    /// On the loop of the timers.
    private func send() {
        while let (entry, post) = nextToSend() {
            post(CloudEvent(entry.event, id: entry.id, host: host)) { result in
                self.timers.execute { self.ended(entry, result) }
            }
        }
    }

    private func nextToSend() -> (EventQueue.Entry, Post)? {
        let now = timers.now
        return state.withLock { state in
            guard let post = state.post else { return nil }
            state.timer?.cancel()
            state.timer = nil
            switch state.queue.next(now: now) {
            case .send(let entry): return (entry, post)
            case .wait(let due): state.timer = timers.scheduleTask(deadline: due) { self.send() }
            case .rest: break
            }
            return nil
        }
    }

    private func ended(_ entry: EventQueue.Entry, _ result: Result) {
        let now = timers.now
        let random = random()
        let notice: Notice? = state.withLock { state in
            switch result {
            case .delivered:
                state.queue.delivered(entry, now: now)
                defer { state.isFailing = false }
                return state.isFailing ? .delivered : nil
            case .failed(let reason, let detail, let retryAfter):
                state.queue.deliveryFailed(entry, reason, retryAfter: retryAfter, random: random, now: now)
                state.isFailing = true
                return .failed(detail: detail)
            }
        }
        if let notice { onNotice(notice) }
        if state.withLock({ $0.queue.count == 0 }) { endWaiting() }
        send()
    }
}
