import GatewayCore

/// What is known of one message, as sentences in the order of time. Pure.
struct MessageStory {
    private struct Event {
        var time: String
        var text: String
    }

    private var events: [Event] = []

    /// - Parameters:
    ///   - lines: of the logs; some may come more than once.
    ///   - records: the idempotency records that may be the message's.
    ///   - now: as it stands in logs.
    init(_ lines: [LogLine], _ records: [ExportedRecord], now: String) {
        let decisions = Dictionary(
            lines.filter { $0.action == "message" }.compactMap { line in
                line.id.map { ($0, line) }
            }, uniquingKeysWith: { one, _ in one })
        let answered = Set(lines.filter { $0.status != nil && $0.action == nil }.compactMap(\.id))
        var seen: [LogLine] = []
        for line in lines where !seen.contains(line) {
            seen.append(line)
            if line.receipt != nil {
                add(line.time, line.report)
            } else if line.action != nil {
                // What the answer says, too, is said once.
                if let text = line.decisionText, line.action != "message" || !answered.contains(line.id ?? "") {
                    add(line.time, text)
                }
            } else if line.status != nil {
                add(line.began ?? line.time, line.request(decisions[line.id ?? ""]))
                add(line.time, line.answer)
            }
        }
        for record in records { add(now, record.sentence) }
    }

    private mutating func add(_ time: String, _ text: String) {
        events.append(Event(time: time.oneLine, text: text.oneLine))
    }

    var isEmpty: Bool { events.isEmpty }

    /// A line each.
    var text: String {
        let order = events.enumerated().sorted {
            ($0.element.time, $0.offset) < ($1.element.time, $1.offset)
        }
        return order.map { "\($0.element.time)  \($0.element.text)\n" }.joined()
    }
}

extension LogLine {
    private var who: String { caller ?? "somebody" }

    /// When the request's last byte had come; nil if the line does not say it.
    fileprivate var began: String? {
        duration.flatMap { duration in
            UnixTimestamp(text: time).map { ($0 + .microseconds(-Int64(duration * 1000))).text }
        }
    }

    /// In milliseconds; nil for what no request takes.
    private var duration: Double? {
        durationMilliseconds.flatMap { (0...1e9).contains($0) ? $0 : nil }
    }

    fileprivate func request(_ decision: LogLine?) -> String {
        var text = skill.map { "\(who) sends a message for the skill \($0)" } ?? "\(who) sends a request"
        var details: [String] = []
        if let id { details.append("request \(id)") }
        if let traceID { details.append("trace \(traceID)") }
        if let authentication = decision?.authentication { details.append("by \(authentication)") }
        if let address = decision?.address ?? address { details.append("from \(address)") }
        if !details.isEmpty { text += " (\(details.joined(separator: ", ")))" }
        if let rules = wouldRefuse {
            text += "; it breaks rules that are only reported: \(rules.joined(separator: ", "))"
        }
        return text
    }

    fileprivate var answer: String {
        let status = status ?? 0
        var text =
            switch source {
            case "replay": replay(status)
            case "upstream": amazon(status)
            default: gateway(status)
            }
        if let requestID { text += "; Amazon's request id is \(requestID)" }
        if let duration { text += "; it took \(Self.milliseconds(duration))" }
        if let standsFor, standsFor > 1 { text += "; the line stands for \(standsFor)" }
        return text
    }

    private static func milliseconds(_ duration: Double) -> String {
        duration < 10 ? "\((duration * 10).rounded() / 10) ms" : "\(Int(duration.rounded())) ms"
    }

    private var attempts: String {
        switch sends ?? 0 {
        case 0: "without an attempt to send it"
        case 1: "at the first attempt"
        case let count: "at attempt \(count)"
        }
    }

    private var place: String { region.map { " in \($0)" } ?? "" }

    private func amazon(_ status: Int) -> String {
        switch status {
        case 200...299: "Amazon accepts it\(place), \(attempts): \(status)"
        case 403: "Amazon refuses it\(place), \(attempts): 403, the access token or the user is not the skill's"
        case 404: "Amazon does not know the user\(place), \(attempts): 404"
        case 429: "Amazon throttles the skill\(place), \(attempts): 429; it was not accepted"
        case 500...599: "Amazon fails\(place), \(attempts): \(status)"
        default: "Amazon refuses it\(place), \(attempts): \(status)"
        }
    }

    private func replay(_ status: Int) -> String {
        if status < 300 { return "it is a duplicate: answered \(status) as the first was, and not sent" }
        if problem == Problem.outcomeUnknownEarlier.rawValue {
            return "it is a duplicate of a message whose outcome is unknown: answered \(status), and not sent"
        }
        return "it is a duplicate: answered \(status) as the first was, and not sent"
    }

    private func gateway(_ status: Int) -> String {
        guard let problem = problem.flatMap({ Problem(rawValue: $0) }) else {
            return status < 300
                ? "its skill has received it, so Amazon has accepted it, though its answer is not known: \(status)"
                : "the gateway answers \(status)"
        }
        let title = problem.row.title
        let words = title.prefix(1).lowercased() + title.dropFirst()
        guard problem.row.resend == .mayDouble else {
            let isSent = (sends ?? 0) > 0
            return
                "the gateway refuses it, \(isSent ? attempts : "and sends nothing"): \(words) (\(status), \(problem.rawValue))"
        }
        return
            "it was sent\(place), \(attempts), and whether Amazon accepted it is unknown: \(words) (\(status), \(problem.rawValue))"
    }

    /// What a skill says of the message.
    fileprivate var report: String {
        let of = skill.map { "the skill \($0)" } ?? "the skill"
        switch receipt {
        case "first": return "\(of) reports that it has received the message"
        case "proof": return "\(of) reports that it has received the message, which proves that Amazon accepted it"
        case "again": return "\(of) reports it once more"
        case "absent": return "\(of) reports a message whose record is gone"
        default: return "\(of) reports it while the store is away; the report is not recorded"
        }
    }

    /// A line of the audit log; nil: it says nothing that other lines do not.
    fileprivate var decisionText: String? {
        if decision == "refused" {
            return "\(who) is refused\(address.map { " (from \($0))" } ?? ""): \(problem ?? "no reason is given")"
        }
        switch action {
        case "message": return request(self)
        case "validation": return "\(who) asks what would become of the message"
        case "inquiry": return "\(who) asks what became of its key"
        case "settlement": return "\(who) says that Amazon accepted the message: its outcome is settled"
        // Of a receipt, the line of the report says so.
        default: return nil
        }
    }
}

extension ExportedRecord {
    fileprivate var sentence: String {
        let expiry = UnixTimestamp(milliseconds: expires).text
        switch state {
        case .accepted:
            var text = "its record says: accepted"
            if let region { text += " in \(region)" }
            if let requestId { text += ", Amazon's request id \(requestId)" }
            if let receivedAt { text += ", received by the skill at \(UnixTimestamp(milliseconds: receivedAt).text)" }
            return text + "; a retry is answered \(status ?? 202), and not sent, until \(expiry)"
        case .sending:
            let lease = leaseEnds.map { ", until \(UnixTimestamp(milliseconds: $0).text) at the latest" } ?? ""
            return "its record says: being sent\(lease); after that its outcome is unknown"
        case .unknown:
            return
                "its record says: the outcome is unknown; a retry is not sent, without consent to a duplicate, until \(expiry)"
        }
    }
}
