/// One observation of a histogram, by the names under which its request stands in the logs.
package struct Exemplar: Equatable, Sendable {
    /// Of all names and values of labels together (OpenMetrics 1.0, "Exemplars").
    private static let limitCharacters = 128

    var trace: TraceContext?
    /// Nil for one that the gateway has made: few would look for it.
    var id: ExchangeID?
    var seconds: Double

    /// Nil for a request that only the gateway has named. A trace that nobody records is none to look for.
    init?(trace: TraceContext?, id: ExchangeID?, seconds: Double) {
        let id = id?.isGiven == true ? id : nil
        let trace = trace?.isSampled == true ? trace : nil
        guard trace != nil || id != nil else { return nil }
        self.trace = trace
        self.id = id
        self.seconds = seconds
        // One that could not be shown must not take the place of one that can.
        if trace == nil && labels.isEmpty { return nil }
    }

    /// As many as there is room for.
    var labels: [(name: String, value: String)] {
        let all = [trace.map { ("trace_id", $0.id.text) }, id.map { ("request_id", $0.text) }].compactMap { $0 }
        return all.reduce(into: []) { labels, label in
            let length = (labels + [label]).reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
            if length <= Self.limitCharacters { labels.append(label) }
        }
    }
}
