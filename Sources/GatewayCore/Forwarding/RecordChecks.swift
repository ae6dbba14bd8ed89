import NIOCore

/// Reads the records of many messages on one event loop, a few at a time.
final class RecordChecks<Message> {
    /// Asked for at once, and the pause behind them: a store has more to do than this.
    private let batch = 200
    private let pause = TimeAmount.milliseconds(50)

    private let store: any IdempotencyStore
    private let eventLoop: any EventLoop
    private let scope: (Message) -> IdempotencyScope?
    /// Called with what the record of a message says; nil if it cannot be read, or if there is none.
    var read: (Message, KeyReport?) -> Void = { _, _ in }
    private var waiting = CircularBuffer<Message>()
    private var underWay = 0
    private var isTimerSet = false
    private var whenDone: [EventLoopPromise<Void>] = []

    /// - Parameter scope: of a message's record; nil: it has none.
    init(
        _ store: any IdempotencyStore, on eventLoop: any EventLoop, scope: @escaping (Message) -> IdempotencyScope?
    ) {
        (self.store, self.eventLoop, self.scope) = (store, eventLoop, scope)
    }

    func begin(_ messages: [Message]) {
        waiting += messages
        if !isTimerSet { next() }
    }

    func forget(where isOver: (Message) -> Bool) { waiting.removeAll(where: isOver) }

    /// Succeeds once all that have begun are read.
    func done() -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        whenDone.append(promise)
        tellIfDone()
        return promise.futureResult
    }

    private func next() {
        let messages = Array(waiting.prefix(batch))
        waiting.removeFirst(messages.count)
        underWay += messages.count
        for message in messages {
            switch scope(message).map({ store.report(on: $0, on: eventLoop) }) ?? .now(nil) {
            case .now(let report): ended(message, report)
            case .later(let future): future.assumeIsolated().whenSuccess { self.ended(message, $0) }
            }
        }
        guard !waiting.isEmpty else { return }
        isTimerSet = true
        eventLoop.assumeIsolated().scheduleTask(in: pause) { [weak self] in
            self?.isTimerSet = false
            self?.next()
        }
    }

    private func ended(_ message: Message, _ report: KeyReport?) {
        read(message, report)
        underWay -= 1
        tellIfDone()
    }

    private func tellIfDone() {
        guard underWay == 0, waiting.isEmpty else { return }
        for promise in whenDone { promise.succeed() }
        whenDone = []
    }
}
