/// Counts of observations by upper bound, as Prometheus wants them. Not shared between threads.
public struct Histogram: Equatable, Sendable {
    /// Upper bounds in ascending order, in the unit of what is observed; above the last one counts as infinity.
    public let bounds: [Double]
    /// One for each bound and one for infinity; not cumulative.
    public private(set) var counts: [Int]
    public private(set) var sum = 0.0

    /// From a local replay to a message's whole deadline.
    public static let messageSeconds = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
    ]
    public static let tokenFetchSeconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

    public init(bounds: [Double]) {
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.count + 1)
    }

    /// - Returns: the place of its bucket.
    @discardableResult
    public mutating func observe(_ value: Double) -> Int {
        var bucket = 0
        while bucket < bounds.count && value > bounds[bucket] { bucket += 1 }
        counts[bucket] += 1
        sum += value
        return bucket
    }

    public var count: Int { counts.reduce(0, +) }

    /// Adds the observations of another histogram with the same bounds.
    public mutating func add(_ other: Histogram) {
        guard bounds == other.bounds else { return }
        for bucket in counts.indices { counts[bucket] += other.counts[bucket] }
        sum += other.sum
    }
}
