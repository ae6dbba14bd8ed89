package import GatewayCore
package import NIOCore
import Synchronization

/// Delivers events to a receiver. Whoever reports one never waits: it is queued, and sent by others' threads.
///
/// Does what `EventQueue` says.
package final class EventSender: Sendable {
    /// What became of one attempt.
    package enum Outcome: Sendable {
        case delivered
        /// `detail` is for the log.
        case failed(EventStatistics.FailureReason, detail: String, retryAfter: Duration?)
    }

    /// Makes one attempt. `then` is called once, on any thread.
    package typealias Post = @Sendable (CloudEvent, _ then: @escaping @Sendable (Outcome) -> Void) -> Void

    /// What there is to be said of deliveries.
    package enum Notice: Equatable, Sendable {
        case failed(detail: String)
        /// After failures.
        case delivered
        /// There were too many: one has lost its place.
        case displaced(GatewayEvent.Kind)
        /// The process ends.
        case undelivered(count: Int)
    }

    private struct State {
        /// Nil: nothing is sent, and nothing kept.
        var post: Post?
        var queue = EventQueue()
        var timer: Scheduled<Void>?
        var isFailing = false
        var whenEmpty: EventLoopPromise<Void>?
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

    /// There is another receiver: from here on, attempts are made this way, and what is queued goes there, too. Nil: there is none, and
    /// what is queued is discarded.
    package func use(_ post: Post?) {
        state.withLock { state in
            state.post = post
            state.isFailing = false
            if post == nil { state.queue.discardAll() } else { state.queue.receiverChanged() }
        }
        timers.execute { self.send() }
    }

    /// Discards those of other kinds that are queued.
    package func keep(only kinds: Set<GatewayEvent.Kind>) { state.withLock { $0.queue.keep(only: kinds) } }

    package func report(_ event: GatewayEvent) {
        let id = makeID()
        let now = timers.now
        let (isUsed, displaced) = state.withLock { state -> (Bool, GatewayEvent?) in
            guard state.post != nil else { return (false, nil) }
            return (true, state.queue.add(event, id: id, now: now))
        }
        if let displaced { onNotice(.displaced(displaced.kind)) }
        if isUsed { timers.execute { self.send() } }
    }

    package var statistics: MetricsSnapshot.Events {
        let now = timers.now
        return state.withLock {
            MetricsSnapshot.Events(
                statistics: $0.queue.statistics, queued: $0.queue.count,
                oldestSeconds: Duration($0.queue.oldestAge(now: now)).inSeconds)
        }
    }

    /// Gives each event that is left one attempt, within so long; what is left then is lost.
    package func finish(within limit: Duration) -> EventLoopFuture<Void> {
        let promise = timers.makePromise(of: Void.self)
        let before = state.withLock { state in
            state.whenEmpty = promise
            state.queue.beginFinalAttempts()
            return state.queue.statistics
        }
        timers.execute {
            self.send()
            self.tellIfEmpty()
        }
        let timer = timers.scheduleTask(in: TimeAmount(limit)) { self.endWaiting() }
        return promise.futureResult.map {
            timer.cancel()
            let left = self.state.withLock { state in
                state.timer?.cancel()
                (state.post, state.timer) = (nil, nil)
                return state.queue.count + state.queue.statistics.discarded - before.discarded
            }
            if left > 0 { self.onNotice(.undelivered(count: left)) }
        }
    }

    private func tellIfEmpty() {
        if state.withLock({ $0.queue.count == 0 }) { endWaiting() }
    }

    private func endWaiting() {
        state.withLock { state in
            defer { state.whenEmpty = nil }
            return state.whenEmpty
        }?.succeed()
    }

    /// On the loop of the timers.
    private func send() {
        while let (entry, post) = nextToSend() {
            post(CloudEvent(entry.event, id: entry.id, host: host)) { outcome in
                self.timers.execute { self.ended(entry, outcome) }
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
            case .idle: break
            }
            return nil
        }
    }

    private func ended(_ entry: EventQueue.Entry, _ outcome: Outcome) {
        let now = timers.now
        let random = random()
        let notice: Notice? = state.withLock { state in
            switch outcome {
            case .delivered:
                state.queue.delivered(entry, now: now)
                defer { state.isFailing = false }
                return state.isFailing ? .delivered : nil
            case .failed(let reason, let detail, let retryAfter):
                state.queue.deliveryFailed(entry, reason, retryAfter: retryAfter, random: random, now: now)
                if state.post == nil { state.queue.discardAll() }
                state.isFailing = true
                return .failed(detail: detail)
            }
        }
        if let notice { onNotice(notice) }
        send()
        tellIfEmpty()
    }
}
