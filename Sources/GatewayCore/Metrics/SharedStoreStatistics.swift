/// What one event loop has seen of a store that many gateways share; for metrics.
package struct SharedStoreStatistics: Equatable, Sendable {
    /// What failed; a label of the metrics.
    package enum Operation: String, CaseIterable, Sendable {
        case claim
        case settle
        /// Settling again in the background.
        case settleAgain = "settle_again"
        /// A settlement that is no longer retried: the backlog was full, or the record has expired.
        case settleGivenUp = "settle_given_up"
        case report
    }

    package var failures: [Operation: Int] = [:]
    /// Settlements that the server has not confirmed yet.
    package var backlog = 0
    /// Whether it had no room for a record a short time ago.
    package var isFull = false

    package init() {}

    /// Adds those of another event loop.
    package mutating func add(_ other: SharedStoreStatistics) {
        failures.merge(other.failures, uniquingKeysWith: +)
        backlog += other.backlog
        isFull = isFull || other.isFull
    }
}
