import NIOCore

/// `POST /v1/receipts`: a skill reports messages that it has received, by the ids that it found in their `data`. Whoever has an id
/// may report that message, so there are no other credentials.
///
/// `{"id": "…"}`, or `{"ids": ["…", …]}` for several at once.
final class ReceiptReport {
    static let limitBytes = 8 * 1024
    static let limitIDs = 100

    private let exchange: Exchange
    private var results: [ReceiptResult] = []
    private var left = 0

    init(_ exchange: Exchange) {
        self.exchange = exchange
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
        let (forwarder, now) = (exchange.forwarder, exchange.forwarder.timestamp())
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
            switch forwarder.store.receive(subject.receipt(at: now), on: exchange.eventLoop) {
            case .now(let outcome): ended(index, outcome, subject, skill, isList)
            case .later(let future):
                future.assumeIsolated().whenSuccess { self.ended(index, $0, subject, skill, isList) }
            }
        }
    }

    private func ended(
        _ index: Int, _ outcome: ReceiptOutcome?, _ subject: ReceiptIDs.Subject, _ skill: Int, _ isList: Bool
    ) {
        exchange.forwarder.instruments.reported(.init(outcome), skill: skill)
        // It changed what callers are told of their message.
        if outcome == .first(provesAcceptance: true) { exchange.allowed(changing: subject.scope) }
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
}
