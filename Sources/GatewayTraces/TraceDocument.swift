package import GatewayCore
import NIOCore

/// Spans in OTLP's JSON encoding (OpenTelemetry Protocol 1, "JSON Protobuf Encoding").
package struct TraceDocument: Sendable {
    package static let contentType = "application/json"
    /// Of the semantic conventions that names and attributes are taken from.
    private static let schema = "https://opentelemetry.io/schemas/1.37.0"

    /// Up to the spans, and behind them.
    private let before: ByteBuffer
    private let after: ByteBuffer
    private let endpoints: ByRegion<APIEndpoint>

    /// - Parameters:
    ///   - resource: what the process is, as attributes.
    ///   - endpoints: where the regions are.
    package init(
        resource: [(name: String, value: String)], version: String, endpoints: ByRegion<APIEndpoint>
    ) {
        self.endpoints = endpoints
        var before = ByteBuffer(string: "{\"resourceSpans\":[{\"resource\":{\"attributes\":[")
        for (index, attribute) in resource.enumerated() {
            if index > 0 { before.writeStaticString(",") }
            before.writeStaticString("{\"key\":")
            JSONText.writeString(attribute.name, to: &before)
            before.writeStaticString(",\"value\":{\"stringValue\":")
            JSONText.writeString(attribute.value, to: &before)
            before.writeStaticString("}}")
        }
        before.writeStaticString("]},\"scopeSpans\":[{\"scope\":{\"name\":\"skillgate\",\"version\":")
        JSONText.writeString(version, to: &before)
        before.writeStaticString("},\"spans\":[")
        self.before = before
        after = ByteBuffer(
            string: "],\"schemaUrl\":\"\(Self.schema)\"}],\"schemaUrl\":\"\(Self.schema)\"}]}")
    }

    package func content(of traces: [RequestTrace]) -> [UInt8] {
        var text = before
        var isFirst = true
        for trace in traces {
            for span in trace.spans(endpoints) {
                if !isFirst { text.writeStaticString(",") }
                isFirst = false
                span.write(to: &text)
            }
        }
        text.writeImmutableBuffer(after)
        return Array(text.readableBytesView)
    }
}

extension Span {
    private static let isSampled = 1
    /// Whether the parent is another process's is known, and it is.
    private static let parentIsKnown = 0x100
    private static let parentIsRemote = 0x200

    func write(to text: inout ByteBuffer) {
        text.writeStaticString("{\"traceId\":\"")
        traceID.write(to: &text)
        text.writeStaticString("\",\"spanId\":\"")
        text.writeHexadecimal(spanID)
        if let parentID {
            text.writeStaticString("\",\"parentSpanId\":\"")
            text.writeHexadecimal(parentID)
        }
        text.writeStaticString("\",\"flags\":")
        text.writeNumber(Self.isSampled | Self.parentIsKnown | (hasRemoteParent ? Self.parentIsRemote : 0))
        text.writeStaticString(",\"name\":")
        JSONText.writeString(name, to: &text)
        text.writeStaticString(",\"kind\":")
        text.writeNumber(kind.rawValue)
        // Numbers of 64 bits are strings in the JSON of Protocol Buffers.
        text.writeStaticString(",\"startTimeUnixNano\":\"")
        text.writeNumber(Int(began))
        text.writeStaticString("\",\"endTimeUnixNano\":\"")
        text.writeNumber(Int(ended))
        text.writeStaticString("\",\"attributes\":[")
        for (index, attribute) in attributes.enumerated() {
            if index > 0 { text.writeStaticString(",") }
            text.writeStaticString("{\"key\":\"")
            text.writeStaticString(attribute.name)
            text.writeStaticString("\",\"value\":{")
            switch attribute.value {
            case .text(let value):
                text.writeStaticString("\"stringValue\":")
                JSONText.writeString(value, to: &text)
            case .number(let value):
                text.writeStaticString("\"intValue\":\"")
                text.writeNumber(value)
                text.writeStaticString("\"")
            }
            text.writeStaticString("}}")
        }
        text.writeStaticString("]")
        writeLinks(to: &text)
        if let error {
            text.writeStaticString(",\"status\":{\"code\":2,\"message\":")
            JSONText.writeString(error, to: &text)
            text.writeStaticString("}")
        }
        text.writeStaticString("}")
    }

    private func writeLinks(to text: inout ByteBuffer) {
        guard !links.isEmpty else { return }
        text.writeStaticString(",\"links\":[")
        for (index, link) in links.enumerated() {
            if index > 0 { text.writeStaticString(",") }
            text.writeStaticString("{\"traceId\":\"")
            link.traceID.write(to: &text)
            text.writeStaticString("\",\"spanId\":\"")
            text.writeHexadecimal(link.spanID)
            text.writeStaticString("\",\"flags\":")
            text.writeNumber(link.isSampled ? Self.isSampled : 0)
            text.writeStaticString("}")
        }
        text.writeStaticString("]")
    }
}

extension ByteBuffer {
    fileprivate mutating func writeNumber(_ number: Int) { writeString(String(number)) }
}
