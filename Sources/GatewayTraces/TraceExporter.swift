package import GatewayCore
package import NIOCore
import Synchronization

/// Exports traces to a collector. Whoever has some to export never waits: they are queued, and sent by others' threads.
///
/// Does what `TraceQueue` says.
package final class TraceExporter: Sendable {
    /// What became of one attempt.
    package enum Outcome: Sendable {
        /// `rejected`: spans that the collector did not take although it took the others. `detail`: what it says of them.
        case exported(rejected: Int, detail: String)
        /// `detail` is for the log.
        case failed(TraceStatistics.FailureReason, detail: String, retryAfter: Duration?)
    }

    /// Makes one attempt. `then` is called once, on any thread.
    package typealias Post = @Sendable ([RequestTrace], _ then: @escaping @Sendable (Outcome) -> Void) -> Void

    /// What there is to be said of exports.
    package enum Notice: Equatable, Sendable {
        case failed(detail: String)
        /// After failures.
        case exported
        /// The collector does not want some.
        case rejected(spans: Int, detail: String)
        /// There were too many: some have lost their places.
        case displaced
    }

    private struct State {
        /// Nil: nothing is sent, and nothing kept.
        var post: Post?
        var queue: TraceQueue
        var timer: Scheduled<Void>?
        var isFailing = false
        var whenEmpty: EventLoopPromise<Void>?
    }

    private let timers: any EventLoop
    private let random: @Sendable () -> Double
    private let onNotice: @Sendable (Notice) -> Void
    private let state: Mutex<State>

    /// - Parameters:
    ///   - timers: runs timers and begins exports.
    ///   - random: from 0 up to 1, for jitter.
    package init(
        _ configuration: TraceQueue.Configuration = TraceQueue.Configuration(), timers: any EventLoop,
        random: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) },
        onNotice: @escaping @Sendable (Notice) -> Void
    ) {
        (self.timers, self.random, self.onNotice) = (timers, random, onNotice)
        state = Mutex(State(queue: TraceQueue(configuration)))
    }

    /// There is another collector: from here on, attempts are made this way, and what is queued goes there, too. Nil: there is none, and
    /// what is queued is discarded.
    package func use(_ post: Post?) {
        state.withLock { state in
            state.post = post
            state.isFailing = false
            if post == nil { state.queue.discardAll() } else { state.queue.collectorChanged() }
        }
        timers.execute { self.send() }
    }

    package func export(_ traces: [RequestTrace]) {
        let now = timers.now
        let displaced = state.withLock { state in state.post == nil ? 0 : state.queue.add(traces, now: now) }
        if displaced > 0 { onNotice(.displaced) }
        timers.execute { self.send() }
    }

    /// Traces that have not been exported yet, and what became of the others.
    package var statistics: (TraceStatistics, queued: Int) {
        state.withLock { ($0.queue.statistics, $0.queue.count) }
    }

    /// Gives the traces that are left one attempt each, within so long; what is left then is lost.
    package func finish(within limit: Duration) -> EventLoopFuture<Void> {
        let promise = timers.makePromise(of: Void.self)
        state.withLock { state in
            state.whenEmpty = promise
            state.queue.beginFinalAttempts()
        }
        timers.execute {
            self.send()
            self.tellIfEmpty()
        }
        let timer = timers.scheduleTask(in: TimeAmount(limit)) { self.endWaiting() }
        return promise.futureResult.map {
            timer.cancel()
            self.state.withLock { state in
                state.timer?.cancel()
                (state.post, state.timer) = (nil, nil)
                state.queue.discardAll()
            }
        }
    }

    private func tellIfEmpty() {
        if state.withLock({ $0.queue.isEmpty }) { endWaiting() }
    }

    private func endWaiting() {
        state.withLock { state in
            defer { state.whenEmpty = nil }
            return state.whenEmpty
        }?.succeed()
    }

    /// On the loop of the timers.
    private func send() {
        let now = timers.now
        let next: (TraceQueue.Batch, Post)? = state.withLock { state in
            guard let post = state.post else { return nil }
            state.timer?.cancel()
            state.timer = nil
            switch state.queue.next(now: now) {
            case .send(let batch): return (batch, post)
            case .wait(let due): state.timer = timers.scheduleTask(deadline: due) { self.send() }
            case .idle: break
            }
            return nil
        }
        guard let (batch, post) = next else { return }
        post(batch.traces) { outcome in
            self.timers.execute { self.ended(batch, outcome) }
        }
    }

    private func ended(_ batch: TraceQueue.Batch, _ outcome: Outcome) {
        let now = timers.now
        let random = random()
        let notices: [Notice] = state.withLock { state in
            switch outcome {
            case .exported(let rejected, let detail):
                let rejected = min(max(0, rejected), batch.spanCount)
                state.queue.exported(batch, rejected: rejected)
                defer { state.isFailing = false }
                return (state.isFailing ? [.exported] : [])
                    + (rejected > 0 || !detail.isEmpty ? [.rejected(spans: rejected, detail: detail)] : [])
            case .failed(let reason, let detail, let retryAfter):
                state.queue.exportFailed(batch, reason, retryAfter: retryAfter, random: random, now: now)
                if state.post == nil { state.queue.discardAll() }
                state.isFailing = true
                return [.failed(detail: detail)]
            }
        }
        for notice in notices { onNotice(notice) }
        send()
        tellIfEmpty()
    }
}
