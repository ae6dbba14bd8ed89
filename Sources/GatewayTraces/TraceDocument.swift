package import GatewayCore

/// Spans in OTLP's JSON encoding (OpenTelemetry Protocol 1, "JSON Protobuf Encoding").
package struct TraceDocument: Sendable {
    package static let contentType = "application/json"
    /// Of the semantic conventions that names and attributes are taken from.
    private static let schema: StaticString = "\"https://opentelemetry.io/schemas/1.37.0\""

    /// Up to the spans, and behind them.
    private let before: JSONBytes
    private let after: JSONBytes
    private let endpoints: ByRegion<APIEndpoint>

    /// - Parameters:
    ///   - resource: what the process is, as attributes.
    ///   - endpoints: where the regions are.
    package init(
        resource: [(name: String, value: String)], version: String, endpoints: ByRegion<APIEndpoint>
    ) {
        self.endpoints = endpoints
        var before = JSONBytes()
        before.append("{\"resourceSpans\":[{\"resource\":{\"attributes\":[")
        for (index, attribute) in resource.enumerated() {
            if index > 0 { before.append(",") }
            before.append("{\"key\":")
            before.append(string: attribute.name)
            before.append(",\"value\":{\"stringValue\":")
            before.append(string: attribute.value)
            before.append("}}")
        }
        before.append("]},\"scopeSpans\":[{\"scope\":{\"name\":\"skillgate\",\"version\":")
        before.append(string: version)
        before.append("},\"spans\":[")
        self.before = before
        var after = JSONBytes()
        after.append("],\"schemaUrl\":")
        after.append(Self.schema)
        after.append("}],\"schemaUrl\":")
        after.append(Self.schema)
        after.append("}]}")
        self.after = after
    }

    package func content(of traces: [RequestTrace]) -> [UInt8] {
        var text = before
        var isFirst = true
        for trace in traces {
            for span in trace.spans(endpoints) {
                if !isFirst { text.append(",") }
                isFirst = false
                span.write(to: &text)
            }
        }
        text.append(after)
        return text.bytes
    }
}

extension Span {
    private static let isSampled = 1
    /// Whether the parent is another process's is known, and it is.
    private static let parentIsKnown = 0x100
    private static let parentIsRemote = 0x200

    func write(to text: inout JSONBytes) {
        text.append("{\"traceId\":\"")
        text.append(traceID)
        text.append("\",\"spanId\":\"")
        text.append(hexadecimal: spanID)
        if let parentID {
            text.append("\",\"parentSpanId\":\"")
            text.append(hexadecimal: parentID)
        }
        text.append("\",\"flags\":")
        text.append(Self.isSampled | Self.parentIsKnown | (hasRemoteParent ? Self.parentIsRemote : 0))
        text.append(",\"name\":")
        text.append(string: name)
        text.append(",\"kind\":")
        text.append(kind.rawValue)
        // Numbers of 64 bits are strings in the JSON of Protocol Buffers.
        text.append(",\"startTimeUnixNano\":\"")
        text.append(Int(began))
        text.append("\",\"endTimeUnixNano\":\"")
        text.append(Int(ended))
        text.append("\",\"attributes\":[")
        for (index, attribute) in attributes.enumerated() {
            if index > 0 { text.append(",") }
            text.append("{\"key\":\"")
            text.append(attribute.name)
            switch attribute.value {
            case .text(let value):
                text.append("\",\"value\":{\"stringValue\":")
                text.append(string: value)
                text.append("}}")
            case .number(let value):
                text.append("\",\"value\":{\"intValue\":\"")
                text.append(value)
                text.append("\"}}")
            }
        }
        text.append("]")
        writeLinks(to: &text)
        // What it is stands in `error.type` (semantic conventions for HTTP, "Status").
        if hasFailed { text.append(",\"status\":{\"code\":2}") }
        text.append("}")
    }

    private func writeLinks(to text: inout JSONBytes) {
        guard !links.isEmpty else { return }
        text.append(",\"links\":[")
        for (index, link) in links.enumerated() {
            if index > 0 { text.append(",") }
            text.append("{\"traceId\":\"")
            text.append(link.traceID)
            text.append("\",\"spanId\":\"")
            text.append(hexadecimal: link.spanID)
            text.append("\",\"flags\":")
            text.append(link.isSampled ? Self.isSampled : 0)
            text.append("}")
        }
        text.append("]")
    }
}
