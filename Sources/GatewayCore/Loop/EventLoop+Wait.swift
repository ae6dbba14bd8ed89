package import NIOCore

extension EventLoop {
    /// Calls `then` once, on this event loop: with the value, or with nil when the time is up. To be called on this event loop, too.
    package func wait<Value: Sendable>(
        for future: EventLoopFuture<Value>, atMost limit: Duration, then: @escaping (Value?) -> Void
    ) {
        // Taken out when it is called: the future may live on for long, and must not keep what nobody waits for.
        var pending: ((Value?) -> Void)? = then
        let timer = assumeIsolated().scheduleTask(deadline: now + limit) { pending.take()?(nil) }
        future.assumeIsolated().whenComplete { result in
            timer.cancel()
            pending.take()?(try? result.get())
        }
    }
}
