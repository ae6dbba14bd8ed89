/// What one event loop has seen of a store that many gateways share; for metrics.
public struct SharedStoreStatistics: Equatable, Sendable {
    /// What failed; a label of the metrics.
    public enum Operation: String, CaseIterable, Sendable {
        case claim
        case settle
        /// Settling again in the background.
        case settleAgain = "settle_again"
        /// A settlement that is not tried any more: there were too many, or its record has expired.
        case settleGivenUp = "settle_given_up"
        case report
    }

    public var failures: [Operation: Int] = [:]
    /// Settlements that the server has not confirmed yet.
    public var backlog = 0
    /// Whether it had no room for a record a short time ago.
    public var isFull = false

    public init() {}

    /// Adds those of another event loop.
    public mutating func add(_ other: SharedStoreStatistics) {
        failures.merge(other.failures, uniquingKeysWith: +)
        backlog += other.backlog
        isFull = isFull || other.isFull
    }
}
