import GatewayCore
import NIOCore

/// What happened, from Amazon's side and the callers', and what of it must not have.
final class Ledger {
    /// A message that a caller wants sent, under a key of its own or another's.
    struct Message: Hashable {
        var key: Int
        /// Differs for another message under the same key.
        var variant: Int

        /// Every other message has no key but its content: another one is another key there.
        var isKeyedByContent: Bool { key % 2 == 1 }

        /// As its caller sends it.
        ///
        /// - Parameter fields: lines beside the ordinary ones.
        func request(_ fields: String = "") -> InboundRequest? {
            let content = #"{"data":{"key":"\#(key)","variant":"\#(variant)","consent":"no"}}"#
            let (apiKey, field) =
                isKeyedByContent
                ? (SimulatedProcess.contentAPIKey, "") : (SimulatedProcess.apiKey, "Idempotency-Key: k\(key)\r\n")
            let text = """
                POST /v1/skillmessages/users/u\(key) HTTP/1.1\r
                Host: x\r
                Authorization: Bearer \(apiKey)\r
                \(fields)\(field)Content-Length: \(content.utf8.count)\r
                \r
                \(content)
                """
            var decoder = RequestDecoder()
            decoder.receive(ByteBuffer(string: text))
            guard case .request(let request) = decoder.next() else { return nil }
            return request
        }
    }

    /// One write of a message to a connection.
    struct Send {
        var message: Message
        var process: Int
        let at: NIODeadline
        var isOpen = true
        var isConsented: Bool
        /// The id of its receipt.
        var receipt: String
        var wasAccepted = false
        /// Its skill has reported it.
        var isReported = false
    }

    /// For how long an equal message of the caller without keys is a duplicate: a few of the pauses between requests.
    static let contentWindow = Duration.seconds(8)

    /// Told what happens, for a course of events that is seen again.
    var onEvent: ((String) -> Void)?
    /// Told of each send that Amazon accepts: the skill gets the message.
    var onAccepted: ((_ send: Int) -> Void)?
    private(set) var violations: [String] = []
    private(set) var sends: [Send] = []
    private(set) var requests = 0
    /// Keys for which consent to another send was given.
    private var consented: Set<Int> = []
    /// Equal messages that Amazon accepted one after another, since the window of the first was over.
    private(set) var acceptedAgain = 0
    /// Between the last send of one message and the first of an equal one.
    private var shortestWindow = TimeAmount.zero
    private(set) var answers: [Int: Int] = [:]
    private var requestIDs: [Int: Set<String>] = [:]
    /// Attempts that wrote a byte, and attempts whose process died before they were settled.
    private var excused: Set<AttemptID> = []
    /// Records that such a process held.
    private var excusedScopes: Set<IdempotencyScope> = []

    func violated(_ invariant: Int, _ text: String) {
        onEvent?("VIOLATED \(invariant): \(text)")
        if violations.count < 10 { violations.append("invariant \(invariant): \(text)") }
    }

    // MARK: Sends

    /// Returns the number of the send.
    ///
    /// - Parameters:
    ///   - claim: that was the last to give this process the record.
    ///   - record: as the server has it.
    func sent(
        _ message: Message, by process: Int, of claim: IdempotencyClaim?, holding record: IdempotencyRecord?,
        claimedAgo: Duration?, isFirst: Bool, budget: Duration, receipt: String, at now: NIODeadline
    ) -> Int {
        shortestWindow = TimeAmount(Self.contentWindow - budget - SimulatedProcess.deadline)
        // With consent, a first attempt that was accepted after all may have settled the record meanwhile.
        let isConsented = claim?.consent == true
        if let claim { excused.insert(claim.owner) }
        var isHeld = false
        switch record?.state {
        case .sending(let owner, _, _): isHeld = owner == claim?.owner
        // An equal message was accepted in an outage that outlasted its record, and is settled only now that this one has got the record.
        case .accepted: isHeld = message.isKeyedByContent && claim != nil
        case .unknown, nil: break
        }
        if !isHeld && !isConsented {
            violated(11, "\(message) was sent by process \(process) while no record was held")
        }
        if isFirst, let claimedAgo, claimedAgo > budget {
            violated(8, "\(message) was sent \(claimedAgo) after its claim")
        }
        let new = Send(message: message, process: process, at: now, isConsented: isConsented, receipt: receipt)
        for send in sendsOfOneMessage(as: new)
        where send.isOpen && !isConsented && (!message.isKeyedByContent || now - send.at < shortestWindow) {
            violated(6, "\(message) was sent by process \(process) while process \(send.process) was sending it")
        }
        sends.append(new)
        onEvent?("process \(process) sends \(message), send \(sends.count - 1)")
        return sends.count - 1
    }

    func accepted(_ send: Int) {
        sends[send].wasAccepted = true
        onEvent?("Amazon accepts send \(send)")
        onAccepted?(send)
        let key = sends[send].message.key
        let ofKey = sendsOfOneMessage(as: sends[send])
        if sends[send].message.isKeyedByContent,
            sends.contains(where: {
                $0.message.key == key && $0.wasAccepted && sends[send].at - $0.at >= shortestWindow
            })
        {
            acceptedAgain += 1
        }
        let accepted = ofKey.count { $0.wasAccepted }
        let consented = ofKey.count { $0.isConsented }
        if accepted > 1 + consented {
            violated(1, "key \(key) was accepted \(accepted) times, \(consented) with consent")
        }
        let variants = Set(ofKey.filter { $0.wasAccepted }.map(\.message.variant))
        if variants.count > 1 && consented == 0 {
            violated(5, "key \(key) was accepted with \(variants.count) contents")
        }
    }

    /// Of the same key, and of no other message: of equal messages under no key, those that are sent before the window of the
    /// one is over, or whose window it was sent in. A window begins with the claim; another region may be tried much later.
    private func sendsOfOneMessage(as send: Send) -> [Send] {
        let ofKey = sends.filter { $0.message.key == send.message.key }
        guard send.message.isKeyedByContent else { return ofKey }
        return ofKey.filter { $0.isConsented || max($0.at, send.at) - min($0.at, send.at) < shortestWindow }
    }

    func ended(_ send: Int) { sends[send].isOpen = false }

    /// The process is gone, and with it all it was sending.
    func died(process: Int, holding claims: [IdempotencyClaim]) {
        onEvent?("process \(process) dies")
        for index in sends.indices where sends[index].process == process { sends[index].isOpen = false }
        for claim in claims {
            excused.insert(claim.owner)
            excusedScopes.insert(claim.scope)
        }
    }

    // MARK: Answers

    /// A caller got an answer from a process that lives.
    ///
    /// - Parameter recordBegan: when the record was claimed that the key had before and behind the request; nil if it had none, or another.
    func answered(_ message: Message, with answer: Response, isConsented: Bool, recordBegan: NIODeadline?) {
        answers[answer.status, default: 0] += 1
        onEvent?("\(message) is answered \(answer.status), \(answer.source)")
        guard case .upstream(let upstream) = answer.content else { return }
        if upstream.status == 202, upstream.requestID == nil {
            // Not by the receipt of another message under the key, nor by that of an equal one in an earlier window.
            // Consent lengthens the window, whether anything is sent for it or not.
            let since = message.isKeyedByContent && !consented.contains(message.key) ? recordBegan : nil
            let isProven = sends.contains { send in
                send.message == message && send.wasAccepted && send.isReported && since.map { send.at >= $0 } ?? true
            }
            if !isProven { violated(15, "\(message) got 202 by a receipt, and its skill has none") }
            return provenByReceipt.formUnion([message.key])
        }
        guard let name = upstream.requestID?.description,
            let send = name.split(separator: "-").last.flatMap({ Int($0) }),
            sends.indices.contains(send)
        else { return violated(7, "an answer to \(message) is none of Amazon's") }
        guard sends[send].message == message else {
            return violated(7, "\(message) got the answer to \(sends[send].message)")
        }
        if (200...299).contains(upstream.status) {
            if !sends[send].wasAccepted { violated(2, "\(message) got \(upstream.status) and was not accepted") }
            requestIDs[message.key, default: []].insert(name)
            // Another window, another answer.
            guard !message.isKeyedByContent else { return }
            let isAlone = !sends.contains { $0.message.key == message.key && $0.isConsented }
            if provenByReceipt.contains(message.key) && !isAlone { return }
            if isAlone && requestIDs[message.key]?.count ?? 0 > 1 { violated(3, "key \(message.key) has two answers") }
        } else if sends[send].wasAccepted {
            violated(4, "\(message) got \(upstream.status) and was accepted")
        }
    }

    /// Answered without Amazon's answer.
    private(set) var provenByReceipt: Set<Int> = []

    /// The skill reports a message.
    func reports(_ send: Int) {
        onEvent?("the skill reports send \(send), \(sends[send].message)")
        sends[send].isReported = true
    }

    func requested(_ message: Message, isConsented: Bool) {
        requests += 1
        if isConsented { consented.insert(message.key) }
    }

    /// Whether a doubtful outcome of this attempt has a reason.
    func isExcused(_ attempt: AttemptID) -> Bool { excused.contains(attempt) }

    func isExcused(_ key: Int, _ scope: IdempotencyScope) -> Bool {
        excusedScopes.contains(scope) || sends.contains { $0.message.key == key }
    }
}
