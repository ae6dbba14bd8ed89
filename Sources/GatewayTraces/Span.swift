import GatewayCore
import NIOCore

/// One span as OpenTelemetry has it.
struct Span {
    /// As the protocol numbers them.
    enum Kind: Int {
        case `internal` = 1
        case server = 2
        case client = 3
    }

    enum Value {
        case text(String)
        case number(Int)
    }

    var name: String
    var kind: Kind
    var traceID: TraceID
    var spanID: UInt64
    /// Nil: the trace begins with it.
    var parentID: UInt64?
    /// The parent is another process's.
    var hasRemoteParent = false
    /// In Unix nanoseconds.
    var began: Int64
    var ended: Int64
    var attributes: [(name: StaticString, value: Value)] = []
    var links: [SpanReference] = []
    private(set) var hasFailed = false

    mutating func add(_ name: StaticString, _ text: String?) {
        if let text { attributes.append((name, .text(text))) }
    }

    mutating func add(_ name: StaticString, _ number: Int) { attributes.append((name, .number(number))) }

    /// - Parameter error: what went wrong, by a name that there are few of.
    mutating func fail(_ error: String) {
        hasFailed = true
        add("error.type", error)
    }
}
