import NIOCore

extension EventLoop {
    /// Calls `then` once, on this event loop: with the value, or with nil when the time is up. To be called on this event loop, too.
    func wait<Value: Sendable>(
        for future: EventLoopFuture<Value>, atMost limit: Duration, then: @escaping (Value?) -> Void
    ) {
        var isOver = false
        let timer = assumeIsolated().scheduleTask(deadline: now + limit) {
            if isOver { return }
            isOver = true
            then(nil)
        }
        future.assumeIsolated().whenComplete { result in
            if isOver { return }
            isOver = true
            timer.cancel()
            then(try? result.get())
        }
    }
}
