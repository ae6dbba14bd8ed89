import Synchronization

/// Knows the spans of messages by their records, for the duplicates and the receipts that come later.
package protocol TraceReferences: Sendable {
    /// The span under which the message is being sent. Lost if it cannot be stored, which costs a link.
    ///
    /// - Parameter lifetime: that of its record.
    func remember(_ span: SpanReference, of record: IdempotencyScope, for lifetime: Duration)

    /// Calls `then` once, on any thread; with nil if nothing is known, or not in time.
    func find(_ record: IdempotencyScope, _ then: @escaping @Sendable (SpanReference?) -> Void)
}

/// Those that one process has seen of late. Event loops share a lock here, for the moment of one insertion, and for traced messages only.
package final class RecentTraces: TraceReferences {
    private struct State {
        var spans: [IdempotencyScope: SpanReference] = [:]
        /// The oldest first, from `oldest` on; the places before it are used again.
        var order: [IdempotencyScope] = []
        var oldest = 0
    }

    private let limit: Int
    private let state = Mutex(State())

    package init(limit: Int = 10_000) {
        self.limit = max(1, limit)
    }

    package func remember(_ span: SpanReference, of record: IdempotencyScope, for lifetime: Duration) {
        state.withLock { state in
            guard state.spans.updateValue(span, forKey: record) == nil else { return }
            if state.order.count < limit { return state.order.append(record) }
            state.spans[state.order[state.oldest]] = nil
            state.order[state.oldest] = record
            state.oldest = (state.oldest + 1) % limit
        }
    }

    package func find(_ record: IdempotencyScope, _ then: @escaping @Sendable (SpanReference?) -> Void) {
        then(state.withLock { $0.spans[record] })
    }
}
