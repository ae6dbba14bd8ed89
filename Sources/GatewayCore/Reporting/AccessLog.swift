import NIOCore

/// The access log of one event loop: a line for each message, for each report of one by its skill, and for refusals as `RefusalTally` has it.
///
/// Holds nothing that a caller can make up but the id of its request: no userId, no key, no content.
package final class AccessLog {
    let lines: LogLines
    /// Logs 1 in N accepted messages, but each that broke a rule that is only reported; and 1 in N first reports of such; every other message has a line.
    var acceptedPerLine = 1
    private var acceptedSinceLine = 0
    private var receivedSinceLine = 0

    package init(_ lines: LogLines) {
        self.lines = lines
        lines.writeTally = { [weak self] in self?.write($0) }
    }

    /// - Parameters:
    ///   - peer: who sent it.
    ///   - record: that of its idempotency key; nil: it has none.
    ///   - sends: times the message was written to a connection.
    ///   - duration: from its last byte to its answer.
    func finished(
        _ labels: ForwardingInstruments.Labels, _ answer: Response, from peer: Peer, record: IdempotencyScope? = nil,
        sends: Int, duration: TimeAmount
    ) {
        if case .refusal(let refusal) = answer.content, refusal.problem.row.severity == .debug,
            !hasLineOfItsOwn(refusal.problem, from: peer, caller: labels.caller)
        {
            return
        }
        // One that would have been refused has a line of its own.
        let isOneOfMany = answer.status == 202 && acceptedPerLine > 1 && labels.brokenRules.isEmpty
        if isOneOfMany {
            acceptedSinceLine += 1
            guard acceptedSinceLine >= acceptedPerLine else { return }
            acceptedSinceLine = 0
        }
        lines.append { text, names in
            names.write(labels, to: &text)
            peer.writeProtocol(to: &text)
            text.writeStaticString(",\"status\":")
            text.writeDecimal(answer.status)
            text.writeStaticString(",\"source\":")
            JSONText.writeString(answer.source.rawValue, to: &text)
            if let source = labels.keySource {
                text.writeStaticString(",\"keySource\":")
                JSONText.writeString(source.rawValue, to: &text)
            }
            if let record { Self.write(record, to: &text) }
            text.writeStaticString(",\"sends\":")
            text.writeDecimal(sends)
            let microseconds = Int(duration.nanoseconds / 1000)
            text.writeStaticString(",\"durationMilliseconds\":")
            text.writeDecimal(microseconds / 1000)
            text.writeStaticString(".")
            TimestampWriter.writePadded(microseconds % 1000, digits: 3, to: &text)
            switch answer.content {
            case .upstream(let upstream):
                if let requestID = upstream.requestID { Self.write(requestID, to: &text) }
            case .refusal(let refusal): refusal.problem.writeMember(to: &text)
            case .report, .accessToken, .userRegion, .receipts, .validation, .page: break
            }
            if isOneOfMany { writeStandsFor(to: &text) }
        }
    }

    /// A skill has reported a message.
    ///
    /// - Parameters:
    ///   - scope: of the message's record.
    ///   - skill: its label.
    func reported(
        _ report: DeliveryInstruments.Report, of scope: IdempotencyScope, skill: Int, _ id: ExchangeID, from peer: Peer
    ) {
        if report == .first && acceptedPerLine > 1 {
            receivedSinceLine += 1
            guard receivedSinceLine >= acceptedPerLine else { return }
            receivedSinceLine = 0
        }
        lines.append { text, names in
            names.write(skill: skill, to: &text)
            LogNames.write(id, to: &text)
            peer.writeProtocol(to: &text)
            text.writeStaticString(",\"receipt\":")
            JSONText.writeString(report.rawValue, to: &text)
            Self.write(scope, to: &text)
            text.writeStaticString(",\"address\":")
            JSONText.writeString(peer.addressText, to: &text)
            if report == .first && acceptedPerLine > 1 { writeStandsFor(to: &text) }
        }
    }

    private func writeStandsFor(to text: inout ByteBuffer) {
        text.writeStaticString(",\"standsFor\":")
        text.writeDecimal(acceptedPerLine)
    }

    /// A request that was refused before it was known what it is for.
    func refused(_ problem: Problem, _ id: ExchangeID, from peer: Peer) {
        guard hasLineOfItsOwn(problem, from: peer, caller: nil) else { return }
        lines.append { text, _ in
            LogNames.write(id, to: &text)
            peer.writeProtocol(to: &text)
            Self.write(problem, to: &text)
            text.writeStaticString(",\"address\":")
            JSONText.writeString(peer.addressText, to: &text)
        }
    }

    private func hasLineOfItsOwn(_ problem: Problem, from peer: Peer, caller: Int?) -> Bool {
        let kind = RefusalTally.Kind(place: peer.place, caller: caller, problem: problem)
        return lines.hasLineOfItsOwn(kind, address: peer.addressText)
    }

    private func write(_ entry: RefusalTally.Entry) {
        lines.append { text, names in
            if let caller = entry.kind.caller {
                var labels = ForwardingInstruments.Labels()
                labels.caller = caller
                names.write(labels, to: &text)
            }
            Self.write(entry.kind.problem, to: &text)
            entry.writeMembers(to: &text)
        }
    }

    private static func write(_ record: IdempotencyScope, to text: inout ByteBuffer) {
        text.writeStaticString(",\"record\":\"")
        record.writeHexadecimal(to: &text)
        text.writeStaticString("\"")
    }

    private static func write(_ problem: Problem, to text: inout ByteBuffer) {
        text.writeStaticString(",\"status\":")
        text.writeDecimal(problem.row.status)
        text.writeStaticString(",\"source\":\"gateway\"")
        problem.writeMember(to: &text)
    }

    private static func write(_ requestID: RequestID, to text: inout ByteBuffer) {
        text.writeStaticString(",\"requestID\":")
        switch requestID {
        case .uuid:
            text.writeStaticString("\"")
            requestID.write(to: &text)
            text.writeStaticString("\"")
        case .text(let string): JSONText.writeString(string, to: &text)
        }
    }
}

extension Peer {
    fileprivate func writeProtocol(to text: inout ByteBuffer) {
        switch version {
        case .http1: text.writeStaticString(",\"protocol\":\"http/1.1\"")
        case .http2: text.writeStaticString(",\"protocol\":\"h2\"")
        }
    }
}

extension RefusalTally.Entry {
    /// Where they came from, and how many more there were than the one that has a line.
    func writeMembers(to text: inout ByteBuffer) {
        text.writeStaticString(",\"address\":")
        if let address { JSONText.writeString(address, to: &text) } else { text.writeStaticString("null") }
        text.writeStaticString(",\"more\":")
        text.writeDecimal(count)
    }
}

extension Problem {
    func writeMember(to text: inout ByteBuffer) {
        text.writeStaticString(",\"problem\":")
        JSONText.writeString(rawValue, to: &text)
    }
}
