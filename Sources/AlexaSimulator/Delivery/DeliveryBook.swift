import Synchronization

/// Every delivery that was begun, in order, and the counts of them.
final class DeliveryBook: Sendable {
    private struct State {
        var deliveries: [String: Delivery] = [:]
        /// Request ids in the order in which messages were accepted.
        var order: [String] = []
        var counters = DeliveryCounters()
    }

    /// Messages under way at once.
    private static let pendingLimit = 100_000

    private let state = Mutex(State())

    /// False if too many are under way.
    func begin(_ message: AcceptedMessage) -> Bool {
        state.withLock { state in
            guard state.counters.pending < Self.pendingLimit else {
                state.counters.skipped += 1
                return false
            }
            state.counters.pending += 1
            state.deliveries[message.requestId] = Delivery(
                requestId: message.requestId, userId: message.userId, region: message.region)
            state.order.append(message.requestId)
            return true
        }
    }

    func attempted(_ requestId: String, _ attempt: Delivery.Attempt) {
        state.withLock { state in
            state.deliveries[requestId]?.attempts.append(attempt)
            state.counters.attempts += 1
        }
    }

    func ended(_ requestId: String, _ outcome: Delivery.State) {
        state.withLock { state in
            // Forgotten meanwhile: nobody counts it any more.
            guard state.deliveries[requestId]?.state == .pending else { return }
            state.deliveries[requestId]?.state = outcome
            state.counters.pending -= 1
            if outcome == .acknowledged { state.counters.acknowledged += 1 } else { state.counters.expired += 1 }
        }
    }

    /// - Parameter isFirst: nil if the report was lost or refused.
    func reported(_ isFirst: Bool?) {
        state.withLock { state in
            switch isFirst {
            case true?: state.counters.firstReports += 1
            case false?: state.counters.laterReports += 1
            case nil: state.counters.failedReports += 1
            }
        }
    }

    var deliveries: [Delivery] {
        state.withLock { state in state.order.compactMap { state.deliveries[$0] } }
    }

    /// The newest first.
    func newest(_ count: Int) -> [Delivery] {
        state.withLock { state in state.order.suffix(count).reversed().compactMap { state.deliveries[$0] } }
    }

    var counters: DeliveryCounters { state.withLock { $0.counters } }

    func forget() {
        state.withLock { $0 = State() }
    }
}
