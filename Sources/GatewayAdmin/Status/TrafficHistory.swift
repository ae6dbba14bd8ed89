package import GatewayCore

/// The traffic of the last minutes, for plots: what passed between one look at the counters and the next.
///
/// Pure: time is passed in.
package struct TrafficHistory: Sendable {
    package struct Region: Encodable, Equatable, Sendable {
        /// Messages a second that Amazon answered.
        package var answered: Double
        /// Of those, the ones that were not accepted.
        package var refused: Double
        /// Messages a second that failed for no fault of their own, by the status that callers got: Amazon's 403, 429 and 5xx, and
        /// what the gateway answered for this region with 502 and 504.
        package var failed: [String: Double] = [:]
        /// Messages a second that were answered by either.
        package var total = 0.0
        /// In seconds, from a message to its answer; nil where there was none.
        package var median: Double?
        package var p99: Double?
    }

    package struct Point: Encodable, Equatable, Sendable {
        /// Unix time, at the end of what it tells of.
        package var time: Double
        /// By name.
        package var regions: [String: Region]
        /// Messages a second that the gateway refused, and of those the ones that it refused with 5xx: for no fault of the caller's.
        var refusedHere: Double
        var failedHere: Double
        /// Messages a second that it answered again.
        package var replayed: Double
    }

    /// What the counters said at one look.
    private struct Totals {
        var time: Double
        var answered = ByRegion { _ in 0 }
        var refused = ByRegion { _ in 0 }
        var failed = ByRegion { _ in [Int: Int]() }
        var failedHere = ByRegion { _ in 0 }
        var durations: ByRegion<Histogram>
        var refusedHere = 0
        var serverErrorsHere = 0
        var replayed = 0

        init(_ instruments: ForwardingInstruments, time: Double) {
            self.time = time
            durations = ByRegion { instruments.messageDuration($0, .upstream) }
            for (series, count) in instruments.messages {
                switch (series.source, series.region) {
                case (.upstream, let region?):
                    answered[region] += count
                    if series.status != 202 { refused[region] += count }
                    if [403, 429].contains(series.status) || series.status >= 500 {
                        failed[region][series.status, default: 0] += count
                    }
                case (.upstream, nil): break
                case (.gateway, let region):
                    refusedHere += count
                    if series.status >= 500 { serverErrorsHere += count }
                    // 503 is the gateway's own: no token, no room, no store.
                    if let region, [502, 504].contains(series.status) {
                        failed[region][series.status, default: 0] += count
                        failedHere[region] += count
                    }
                case (.replay, _): replayed += count
                }
            }
        }
    }

    private let limit: Int
    private var last: Totals?
    package private(set) var points: [Point] = []

    /// - Parameter limit: points that are kept.
    package init(limit: Int) {
        self.limit = limit
    }

    /// Takes what the counters say now.
    ///
    /// - Parameter time: Unix time.
    package mutating func add(_ instruments: ForwardingInstruments, time: Double) {
        let now = Totals(instruments, time: time)
        defer { last = now }
        // A clock that was set back tells no rates.
        guard let last, time > last.time else { return }
        let seconds = time - last.time
        var regions: [String: Region] = [:]
        for region in GatewayCore.Region.allCases {
            let durations = now.durations[region].since(last.durations[region])
            var failed: [String: Double] = [:]
            for (status, count) in now.failed[region] where count > last.failed[region][status] ?? 0 {
                failed["\(status)"] = Double(count - (last.failed[region][status] ?? 0)) / seconds
            }
            let failedHere = now.failedHere[region] - last.failedHere[region]
            regions[region.name] = Region(
                answered: Double(now.answered[region] - last.answered[region]) / seconds,
                refused: Double(now.refused[region] - last.refused[region]) / seconds, failed: failed,
                total: Double(now.answered[region] - last.answered[region] + failedHere) / seconds,
                median: durations.quantile(0.5), p99: durations.quantile(0.99))
        }
        points.append(
            Point(
                time: time, regions: regions, refusedHere: Double(now.refusedHere - last.refusedHere) / seconds,
                failedHere: Double(now.serverErrorsHere - last.serverErrorsHere) / seconds,
                replayed: Double(now.replayed - last.replayed) / seconds))
        if points.count > limit { points.removeFirst(points.count - limit) }
    }
}
