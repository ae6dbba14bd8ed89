import NIOCore

/// What a skill is told of a message that it reports.
package enum ReceiptResult: Equatable, Sendable {
    /// Nobody has reported it before, as far as is known: it is to be handled.
    case first
    /// It was reported before: it is not to be handled again.
    ///
    /// - Parameter at: when first; Unix time in milliseconds.
    case again(at: Int64)
    /// The id is none of this gateway's.
    case unknown
    /// The store cannot be reached.
    case unavailable

    /// - Parameter outcome: nil if the store cannot be reached.
    init(_ outcome: ReceiptOutcome?) {
        switch outcome {
        case .first, .absent: self = .first
        case .again(let time): self = .again(at: time)
        case nil: self = .unavailable
        }
    }

    func writeJSON(to content: inout ByteBuffer) {
        switch self {
        case .first: content.writeStaticString("{\"first\":true}")
        case .again(let time):
            content.writeStaticString("{\"first\":false,\"firstAt\":\"")
            content.writeTimestamp(UnixTimestamp(milliseconds: time))
            content.writeStaticString("\"}")
        case .unknown: content.writeStaticString("{\"status\":404}")
        case .unavailable: content.writeStaticString("{\"status\":503}")
        }
    }
}

extension [ReceiptResult] {
    /// - Parameter isList: as they were reported: in a list, or one by itself.
    func json(isList: Bool) -> ByteBuffer {
        var content = ByteBuffer()
        if isList { content.writeStaticString("{\"receipts\":[") }
        for (index, result) in enumerated() {
            if index > 0 { content.writeStaticString(",") }
            result.writeJSON(to: &content)
        }
        if isList { content.writeStaticString("]}") }
        return content
    }
}
