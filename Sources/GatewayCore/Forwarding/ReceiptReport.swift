import NIOCore

/// `POST /v1/receipts`: a skill reports messages that it has received, by the ids that it found in their `data`. Whoever has an id
/// may report that message, so there are no other credentials.
///
/// `{"id": "…"}`, or `{"ids": ["…", …]}` for several at once.
final class ReceiptReport {
    static let limitBytes = 8 * 1024
    static let limitIDs = 100

    static let path: StaticString = "/v1/receipts"

    /// Whether the request's path is that of reports, with a base path before it or not.
    static func isMeant(by request: InboundRequest) -> Bool {
        let head = request.headBytes
        guard let base = try? BasePath(head.readableBytesUInt8Span, request.head.path) else { return false }
        return head.readableBytesUInt8Span.isEqual(base.rest, to: path)
    }

    private let exchange: Exchange
    private var results: [ReceiptResult] = []
    private var left = 0
    private let received: UnixTimestamp
    private var hasLoggedOther = false

    init(_ exchange: Exchange) {
        self.exchange = exchange
        received = exchange.forwarder.timestamp()
    }

    func answer() {
        do {
            let (ids, isList) = try Self.read(exchange.request.content)
            let subjects = ids.map(subject(of:))
            // Of ids that are none, any number can be made up: they use up nobody's rate.
            try exchange.countReceipts(subjects.count { $0 != nil })
            begin(subjects, isList: isList)
        } catch {
            exchange.answer(Response(.refusal(error), region: nil))
        }
    }

    /// Nil for an id that is none of ours.
    private func subject(of id: String) -> ReceiptIDs.Subject? {
        let bytes = Array(id.utf8)
        let configuration = exchange.configuration
        return configuration.receipts.subject(of: bytes.span, 0..<bytes.count).flatMap {
            configuration.skills.indices.contains($0.skill) ? $0 : nil
        }
    }

    private static let expected = "expected `{\"id\":\"…\"}`, or `{\"ids\":[…]}` with 1 to \(limitIDs) ids"

    private static func read(_ content: ByteBuffer) throws(Refusal) -> (ids: [String], isList: Bool) {
        guard content.readableBytes <= limitBytes else {
            throw Refusal(
                .contentTooLarge, "the content has \(content.readableBytes) bytes; expected at most \(limitBytes)")
        }
        let bytes = content.readableBytesUInt8Span
        do {
            let one = try JSONMembers.value(at: ["id"], in: bytes)
            let several = try JSONMembers.value(at: ["ids"], in: bytes)
            switch (one, several) {
            case (let value?, nil): if let id = try JSONMembers.string(bytes, value) { return ([id], false) }
            case (nil, let value?):
                if let ids = try JSONMembers.strings(bytes, value), (1...limitIDs).contains(ids.count) {
                    return (ids, true)
                }
            case (nil, nil), (_?, _?): break
            }
        } catch {
            throw Refusal(.messageInvalid, "the content is no JSON object with each member once; \(expected)")
        }
        throw Refusal(.messageInvalid, expected)
    }

    private func begin(_ subjects: [ReceiptIDs.Subject?], isList: Bool) {
        results = Array(repeating: .unavailable, count: subjects.count)
        left = subjects.count
        for (index, subject) in subjects.enumerated() {
            guard let subject else {
                if isList { exchange.unknownReceiptOfList() }
                ended(index, .unknown, isList)
                continue
            }
            noteInTrace(subject)
            switch exchange.forwarder.store.receive(subject.receipt(at: received), on: exchange.eventLoop) {
            case .now(let outcome): ended(index, outcome, subject, isList)
            case .later(let future):
                future.assumeIsolated().whenSuccess { self.ended(index, $0, subject, isList) }
            }
        }
    }

    /// Of several, its span names the last.
    private func noteInTrace(_ subject: ReceiptIDs.Subject) {
        guard let trace = exchange.trace else { return }
        trace.addLink(to: subject.scope)
        trace.record = subject.scope
        exchange.labels.skill = exchange.configuration.skills[subject.skill].label
    }

    private func ended(_ index: Int, _ outcome: ReceiptOutcome?, _ subject: ReceiptIDs.Subject, _ isList: Bool) {
        let skill = exchange.configuration.skills[subject.skill].label
        let report = DeliveryInstruments.Report(outcome)
        exchange.forwarder.instruments.deliveries.reported(report, skill: skill)
        log(report, of: subject.scope, skill: skill)
        if case .first(let provesAcceptance, let remaining) = outcome {
            if let age = subject.age(remaining: remaining, retention: exchange.snapshot.times.retention) {
                exchange.forwarder.instruments.deliveries.delivered(
                    after: age, skill: skill, report: exchange.labels)
            }
            // It changed what callers are told of their message.
            if provesAcceptance { exchange.allowed(subject.scope) }
        }
        ended(index, ReceiptResult(outcome), isList)
    }

    /// An id can be reported any number of times: of what changes nothing, one line a request is enough.
    private func log(_ report: DeliveryInstruments.Report, of scope: IdempotencyScope, skill: Int) {
        if report != .first && report != .proof {
            if hasLoggedOther { return }
            hasLoggedOther = true
        }
        exchange.logReceipt(report, of: scope, skill: skill)
    }

    private func ended(_ index: Int, _ result: ReceiptResult, _ isList: Bool) {
        results[index] = result
        left -= 1
        guard left == 0 else { return }
        exchange.answer(Response(content(isList: isList), region: nil))
    }
}

extension ReceiptReport {
    private func content(isList: Bool) -> Response.Content {
        if isList { return .receipts(results, isList: true) }
        switch results.first {
        case .unknown: return .refusal(exchange.unknownReceipt())
        case .unavailable: return .refusal(.receiptUndecided)
        default: return .receipts(results, isList: false)
        }
    }
}

extension ReceiptIDs.Subject {
    /// A report that comes now.
    func receipt(at now: UnixTimestamp) -> Receipt {
        Receipt(of: scope, at: now.milliseconds, binding: binding)
    }

    /// How long ago the message was accepted, by how long its record lives yet; nil where that does not say it.
    ///
    /// - Parameter retention: of a record whose key is not the message itself.
    func age(remaining: Duration, retention: TimeAmount) -> Duration? {
        guard case .message = binding else { return nil }
        return max(.zero, Duration(retention) - remaining)
    }
}
