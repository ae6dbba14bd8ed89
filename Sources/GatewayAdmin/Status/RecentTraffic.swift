package import GatewayCore

/// What passed in the last minute, by caller and by region.
///
/// Pure: time is passed in.
package struct RecentTraffic: Sendable {
    private static let seconds = 60.0
    /// Looks that are kept are so far apart: each holds every series.
    private static let distance = 10.0

    package struct Caller: Equatable, Sendable {
        /// Messages and other requests that had an answer.
        package var answered = 0
        /// Of those, the ones that the gateway refused, that Amazon did not accept, and that were answered again.
        var refusedHere = 0
        var refusedByAmazon = 0
        package var replayed = 0

        package init() {}

        mutating func add(_ series: ForwardingInstruments.MessageSeries, _ count: Int) {
            answered += count
            switch series.source {
            case .gateway: refusedHere += count
            case .upstream: if series.status != 202 { refusedByAmazon += count }
            case .replay: replayed += count
            }
        }
    }

    package struct Region: Sendable {
        /// Amazon's answers, by status.
        package var answers: [Int: Int] = [:]
        /// In seconds; nil where there was no answer.
        package var median: Double?
        package var p99: Double?
    }

    private struct Look {
        var time: Double
        var messages: [ForwardingInstruments.MessageSeries: Int]
        var durations: ByRegion<Histogram>
    }

    /// The oldest first; the first is at most a minute old as a rule.
    private var looks: [Look] = []
    private var newest: Look?
    /// By caller: Unix time of the look that found more messages than the one before.
    package private(set) var lastSeen: [Int: Double] = [:]

    package init() {}

    /// How long the time is that it tells of, in seconds.
    package var span: Double {
        guard let newest, let oldest = looks.first else { return 0 }
        return max(0, newest.time - oldest.time)
    }

    /// Takes what the counters say now.
    ///
    /// - Parameter time: Unix time.
    package mutating func add(_ instruments: ForwardingInstruments, time: Double) {
        let look = Look(
            time: time, messages: instruments.messages,
            durations: ByRegion { instruments.messageDuration($0, .upstream) })
        for (series, count) in look.messages {
            if let caller = series.caller, count > newest?.messages[series] ?? 0 { lastSeen[caller] = time }
        }
        newest = look
        // A clock that was set back tells no order.
        if let last = looks.last, time < last.time { looks = [] }
        if looks.last.map({ time - $0.time >= Self.distance }) ?? true { looks.append(look) }
        while looks.count > 1, time - looks[0].time > Self.seconds { looks.removeFirst() }
    }

    /// By caller.
    package func callers() -> [Int: Caller] {
        var callers: [Int: Caller] = [:]
        forEachSeries { series, count in
            if let caller = series.caller { callers[caller, default: Caller()].add(series, count) }
        }
        return callers
    }

    package func regions() -> ByRegion<Region> {
        var regions = ByRegion { _ in Region() }
        guard let newest, let oldest = looks.first else { return regions }
        forEachSeries { series, count in
            guard series.source == .upstream, let region = series.region else { return }
            regions[region].answers[series.status, default: 0] += count
        }
        for region in GatewayCore.Region.allCases {
            let durations = newest.durations[region].since(oldest.durations[region])
            regions[region].median = durations.quantile(0.5)
            regions[region].p99 = durations.quantile(0.99)
        }
        return regions
    }

    /// Those that have counted anything.
    private func forEachSeries(_ body: (ForwardingInstruments.MessageSeries, Int) -> Void) {
        guard let newest, let oldest = looks.first else { return }
        for (series, count) in newest.messages {
            let passed = count - (oldest.messages[series] ?? 0)
            if passed > 0 { body(series, passed) }
        }
    }
}
