import NIOCore

/// Reads the records of many messages on one event loop, a few at a time.
final class RecordChecks<Message> {
    /// Asked for at once, and the pause after them: a store has more to do than this.
    private static var batch: Int { 200 }
    private static var pause: TimeAmount { .milliseconds(50) }

    private let store: any IdempotencyStore
    private let eventLoop: any EventLoop
    private let scope: (Message) -> IdempotencyScope?
    private let read: (Message, KeyReport?) -> Void
    private var waiting = CircularBuffer<Message>()
    private var reading = 0
    private var isTimerSet = false
    private var whenDone: [EventLoopPromise<Void>] = []

    /// - Parameters:
    ///   - scope: of a message's record; nil: it has none.
    ///   - read: called with what the record says; nil if it cannot be read, or if there is none.
    init(
        _ store: any IdempotencyStore, on eventLoop: any EventLoop, scope: @escaping (Message) -> IdempotencyScope?,
        read: @escaping (Message, KeyReport?) -> Void
    ) {
        (self.store, self.eventLoop, self.scope, self.read) = (store, eventLoop, scope, read)
    }

    /// Those that are not read yet.
    var count: Int { waiting.count + reading }

    func begin(_ messages: [Message]) {
        waiting += messages
        if !isTimerSet { next() }
    }

    func forget(where isOver: (Message) -> Bool) {
        waiting.removeAll(where: isOver)
        tellIfDone()
    }

    /// Succeeds once all that have begun are read.
    func done() -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        whenDone.append(promise)
        tellIfDone()
        return promise.futureResult
    }

    private func next() {
        guard !waiting.isEmpty else { return }
        // First: what is read at once may begin others.
        isTimerSet = true
        eventLoop.assumeIsolated().scheduleTask(in: Self.pause) { [weak self] in
            self?.isTimerSet = false
            self?.next()
        }
        let messages = Array(waiting.prefix(Self.batch))
        waiting.removeFirst(messages.count)
        reading += messages.count
        for message in messages {
            switch scope(message).map({ store.report(on: $0, on: eventLoop) }) ?? .now(nil) {
            case .now(let report): ended(message, report)
            case .later(let future): future.assumeIsolated().whenSuccess { self.ended(message, $0) }
            }
        }
    }

    private func ended(_ message: Message, _ report: KeyReport?) {
        read(message, report)
        reading -= 1
        tellIfDone()
    }

    private func tellIfDone() {
        guard reading == 0, waiting.isEmpty else { return }
        for promise in whenDone { promise.succeed() }
        whenDone = []
    }
}
