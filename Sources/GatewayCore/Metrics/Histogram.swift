/// Counts of observations by upper bound, as Prometheus wants them. Not shared between threads.
package struct Histogram: Equatable, Sendable {
    /// Upper bounds in ascending order, in the unit of what is observed; above the last one counts as infinity.
    package let bounds: [Double]
    /// One for each bound and one for infinity; not cumulative.
    package private(set) var counts: [Int]
    package private(set) var sum = 0.0
    /// The last observation of each bucket whose request somebody may look for, by the bucket's place.
    private(set) var exemplars: [Int: Exemplar] = [:]

    /// From a local replay to a message's whole deadline.
    static let messageSeconds = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
    ]
    /// From an immediate delivery to the last one that Amazon tries.
    static let deliverySeconds = [
        0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 21_600, 86_400,
    ]
    static let tokenFetchSeconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

    package init(bounds: [Double]) {
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.count + 1)
    }

    mutating func observe(_ value: Double, exemplar: @autoclosure () -> Exemplar? = nil) {
        var bucket = 0
        while bucket < bounds.count && value > bounds[bucket] { bucket += 1 }
        counts[bucket] += 1
        sum += value
        if let exemplar = exemplar() { exemplars[bucket] = exemplar }
    }

    package var count: Int { counts.reduce(0, +) }

    /// The value that the given share of the observations does not exceed, as Prometheus estimates it: evenly spread within
    /// a bucket, and the last bound for what is above it. Nil where nothing was observed.
    package func quantile(_ share: Double) -> Double? {
        let rank = share * Double(count)
        guard rank > 0 else { return nil }
        var below = 0.0
        for (bucket, bound) in bounds.enumerated() {
            let inBucket = Double(counts[bucket])
            if below + inBucket >= rank, inBucket > 0 {
                let lower = bucket == 0 ? 0 : bounds[bucket - 1]
                return lower + (bound - lower) * (rank - below) / inBucket
            }
            below += inBucket
        }
        return bounds.last
    }

    /// The observations that an earlier copy did not have.
    package func since(_ earlier: Histogram) -> Histogram {
        guard bounds == earlier.bounds else { return self }
        var difference = self
        for bucket in counts.indices { difference.counts[bucket] = max(0, counts[bucket] - earlier.counts[bucket]) }
        difference.sum = sum - earlier.sum
        return difference
    }

    /// Adds the observations of another histogram with the same bounds.
    package mutating func add(_ other: Histogram) {
        guard bounds == other.bounds else { return }
        for bucket in counts.indices { counts[bucket] += other.counts[bucket] }
        sum += other.sum
        exemplars.merge(other.exemplars) { $1 }
    }
}
