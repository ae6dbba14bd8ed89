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

    init(_ exchange: Exchange) {
        self.exchange = exchange
        received = exchange.forwarder.timestamp()
    }

    func answer() {
        do {
            let (ids, isList) = try Self.read(exchange.request.content)
            try exchange.countReceipts(ids.count)
            begin(ids, isList: isList)
        } catch {
            exchange.answer(Response(.refusal(error), region: nil))
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

    private func begin(_ ids: [String], isList: Bool) {
        results = Array(repeating: .unavailable, count: ids.count)
        left = ids.count
        for (index, id) in ids.enumerated() {
            let bytes = Array(id.utf8)
            let (receipts, skills) = (exchange.configuration.receipts, exchange.configuration.skills)
            guard let subject = receipts.subject(of: bytes.span, 0..<bytes.count),
                skills.indices.contains(subject.skill)
            else {
                ended(index, .unknown, isList)
                continue
            }
            let skill = skills[subject.skill].label
            switch exchange.forwarder.store.receive(subject.receipt(at: received), on: exchange.eventLoop) {
            case .now(let outcome): ended(index, outcome, subject, skill, isList)
            case .later(let future):
                future.assumeIsolated().whenSuccess { self.ended(index, $0, subject, skill, isList) }
            }
        }
    }

    private func ended(
        _ index: Int, _ outcome: ReceiptOutcome?, _ subject: ReceiptIDs.Subject, _ skill: Int, _ isList: Bool
    ) {
        let label = DeliveryInstruments.Report(outcome)
        exchange.forwarder.instruments.deliveries.reported(label, skill: skill)
        exchange.reported(label, of: subject.scope, skill: skill)
        if case .first(let provesAcceptance, let remaining) = outcome {
            let age = subject.age(remaining: remaining, at: received, retention: exchange.snapshot.times.retention)
            exchange.forwarder.instruments.deliveries.delivered(after: age, skill: skill)
            // It changed what callers are told of their message.
            if provesAcceptance { exchange.allowed(changing: subject.scope) }
        }
        ended(index, ReceiptResult(outcome), isList)
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
        // In a list, what was reported with it has been taken, and has to be told.
        let unknown = results.contains(.unknown) ? exchange.unknownReceipt() : nil
        if isList { return .receipts(results, isList: true) }
        if let unknown { return .refusal(unknown) }
        return results == [.unavailable] ? .refusal(.storeUnavailable) : .receipts(results, isList: false)
    }
}

extension ReceiptIDs.Subject {
    /// A report that comes now.
    func receipt(at now: UnixTimestamp) -> Receipt {
        Receipt(of: scope, at: now.milliseconds, binding: binding)
    }

    /// How long ago the message was accepted, by how long its record lives yet.
    ///
    /// - Parameter retention: of a record whose key is not the message itself.
    func age(remaining: Duration, at now: UnixTimestamp, retention: TimeAmount) -> Duration {
        switch binding {
        case .message: return max(.zero, Duration(retention) - remaining)
        case .latestExpiry(let seconds):
            // Two windows behind the beginning, but for a second; the record expires one window behind it.
            let left = Duration.seconds(seconds + 1) - .milliseconds(now.milliseconds)
            return max(.zero, left - remaining - remaining)
        }
    }
}
