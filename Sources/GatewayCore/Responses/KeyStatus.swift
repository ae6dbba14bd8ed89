import NIOCore

/// What the caller that owns an idempotency key learns of it.
package struct KeyStatus: Equatable, Sendable {
    var state: KeyReport.State
    /// Of the record; nil where there is none.
    var times: Times?

    struct Times: Equatable, Sendable {
        /// Nil if the record lives longer than such a one would that is made now.
        var created: UnixTimestamp?
        var expires: UnixTimestamp
    }

    /// Beyond it, timestamps have five digits for the year.
    private static let longest = Duration.seconds(1000 * 365 * 86_400)

    /// - Parameters:
    ///   - retention: how long records of such keys live. A record says only when it expires.
    ///   - now: when the report was made.
    init(_ report: KeyReport, retention: Duration, now: UnixTimestamp) {
        state = report.state
        guard let remaining = report.remaining, remaining <= Self.longest else { return }
        times = Times(created: remaining <= retention ? now + (remaining - retention) : nil, expires: now + remaining)
    }

    func writeJSON(to content: inout ByteBuffer) {
        content.writeString("{\"state\":\"\(state.name)\"")
        if case .accepted(let answer) = state {
            content.writeString(",\"status\":\(answer.status)")
            if let region = answer.region { content.writeString(",\"region\":\"\(region.name)\"") }
            if let requestID = answer.requestID {
                content.writeStaticString(",\"requestId\":")
                JSONText.writeString(requestID.description, to: &content)
            }
            Self.write("receivedAt", answer.receivedAt.map(UnixTimestamp.init(milliseconds:)), to: &content)
        }
        Self.write("createdAt", times?.created, to: &content)
        Self.write("expiresAt", times?.expires, to: &content)
        content.writeStaticString("}")
    }

    private static func write(_ name: StaticString, _ time: UnixTimestamp?, to content: inout ByteBuffer) {
        guard let time else { return }
        content.writeStaticString(",\"")
        content.writeStaticString(name)
        content.writeStaticString("\":\"")
        content.writeTimestamp(time)
        content.writeStaticString("\"")
    }
}

extension KeyReport.State {
    var name: String {
        switch self {
        case .absent: "absent"
        case .inFlight: "in-flight"
        case .accepted: "accepted"
        case .unknown: "unknown"
        }
    }
}
