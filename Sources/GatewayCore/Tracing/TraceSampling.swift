/// Which requests have a trace, and where its ids go.
package struct TraceSampling: Equatable, Sendable {
    /// How many of those that nobody decides about, from 0 to 1.
    package var ratio: Double
    /// What a caller's `traceparent` says decides about its request.
    package var isParentBased: Bool
    /// Requests to the regions carry `traceparent`.
    package var reachesUpstream: Bool

    package init(ratio: Double = 1, isParentBased: Bool = true, reachesUpstream: Bool = false) {
        (self.ratio, self.isParentBased, self.reachesUpstream) = (ratio, isParentBased, reachesUpstream)
    }

    /// The bits of a trace's id that decide: 56, as other samplers take them (OpenTelemetry, "TraceState: Probability Sampling").
    static let randomBits: UInt64 = 1 << 56 - 1

    /// A trace is recorded from this number on.
    var threshold: UInt64 {
        let part = min(max(ratio.isNaN ? 0 : ratio, 0), 1)
        return UInt64((1 - part) * Double(Self.randomBits + 1))
    }
}
