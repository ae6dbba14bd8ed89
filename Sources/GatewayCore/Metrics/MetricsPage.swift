/// Writes metrics as text: Prometheus 0.0.4, or OpenMetrics 1.0.
package struct MetricsPage: Sendable {
    package enum Format: Sendable {
        case prometheus
        case openMetrics

        package var contentType: String {
            switch self {
            case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
            case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }

        /// OpenMetrics where the `Accept` field names it; a scraper that does not ask gets what every scraper reads.
        package init(accept: String?) {
            self = accept?.contains("application/openmetrics-text") == true ? .openMetrics : .prometheus
        }
    }

    package typealias Label = (name: String, value: String)

    private let format: Format
    private var text = ""

    package init(_ format: Format) {
        self.format = format
    }

    /// Starts a family; its samples follow.
    mutating func family(_ instrument: Instrument) {
        var name = instrument.rawValue
        let row = instrument.row
        if format == .openMetrics && row.kind == .counter && name.hasSuffix("_total") { name.removeLast(6) }
        text += "# HELP \(name) \(row.help)\n# TYPE \(name) \(row.kind.rawValue)\n"
        // A unit is the last part of a name (OpenMetrics 1.0, "Unit"); the other format takes the line for a comment.
        if format == .openMetrics, let unit = Self.unit(of: name) { text += "# UNIT \(name) \(unit)\n" }
    }

    private static func unit(of name: String) -> String? {
        name.hasSuffix("_seconds") ? "seconds" : name.hasSuffix("_bytes") ? "bytes" : nil
    }

    package mutating func sample(_ instrument: Instrument, _ labels: [Label] = [], _ value: Double) {
        line(instrument.rawValue, labels, Self.number(value))
    }

    package mutating func sample(_ instrument: Instrument, _ labels: [Label] = [], _ value: Int) {
        line(instrument.rawValue, labels, String(value))
    }

    /// Exemplars are shown by OpenMetrics alone; the other format knows none.
    mutating func histogram(_ instrument: Instrument, _ labels: [Label] = [], _ histogram: Histogram) {
        let exemplars = format == .openMetrics ? histogram.exemplars : [:]
        var count = 0
        for (index, bound) in histogram.bounds.enumerated() {
            count += histogram.counts[index]
            let value = String(count) + Self.text(exemplars[index])
            line(instrument.rawValue + "_bucket", labels + [("le", Self.number(bound))], value)
        }
        let all = histogram.count
        let value = String(all) + Self.text(exemplars[histogram.bounds.count])
        line(instrument.rawValue + "_bucket", labels + [("le", "+Inf")], value)
        line(instrument.rawValue + "_sum", labels, Self.number(histogram.sum))
        line(instrument.rawValue + "_count", labels, String(all))
    }

    private static func text(_ exemplar: Exemplar?) -> String {
        guard let exemplar, case let labels = exemplar.labels, !labels.isEmpty else { return "" }
        let text = labels.map { "\($0.name)=\"\(escaped($0.value))\"" }.joined(separator: ",")
        return " # {\(text)} \(number(exemplar.seconds))"
    }

    consuming func finished() -> String {
        format == .openMetrics ? text + "# EOF\n" : text
    }

    private mutating func line(_ name: String, _ labels: [Label], _ value: String) {
        text += name
        if !labels.isEmpty {
            text += "{"
            for (index, label) in labels.enumerated() {
                text += "\(index == 0 ? "" : ",")\(label.name)=\"\(Self.escaped(label.value))\""
            }
            text += "}"
        }
        text += " \(value)\n"
    }

    /// Always with a point or an exponent, as OpenMetrics wants bounds, and the same in both formats.
    private static func number(_ value: Double) -> String { "\(value)" }

    private static func escaped(_ value: String) -> String {
        guard value.contains(where: { $0 == "\\" || $0 == "\"" || $0 == "\n" }) else { return value }
        return value.reduce(into: "") { escaped, character in
            switch character {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.append(character)
            }
        }
    }
}
