import NIOCore

/// `Gateway-Validate-Only: ?1`: answers what would become of a valid message, without token, connection, claim and send.
final class MessageInquiry {
    private let exchange: Exchange
    private let message: Message
    private let search: RegionSearch
    private let claim: IdempotencyClaim?

    init(_ exchange: Exchange, _ message: consuming Message, _ search: RegionSearch) {
        self.exchange = exchange
        self.search = search
        claim = message.claim(in: exchange)
        self.message = message
    }

    func answer() {
        guard let claim else { return answer(nil) }
        switch exchange.forwarder.store.report(on: claim.scope, on: exchange.eventLoop) {
        case .now(let report): answer(report)
        case .later(let future):
            let deadline = exchange.started + message.timeLimit
            exchange.eventLoop.wait(for: future, atMost: Duration(from: exchange.eventLoop.now, to: deadline)) {
                self.answer($0 ?? nil)
            }
        }
    }

    /// - Parameter report: nil where the store cannot be reached, or where there is no key.
    private func answer(_ report: KeyReport?) {
        if let refusal = refusal(report) { return exchange.answer(Response(.refusal(refusal), region: nil)) }
        let key = message.key.map { key in
            MessageValidation.Key(
                key: key, source: exchange.labels.keySource ?? .field, state: report?.state)
        }
        let validation = MessageValidation(
            skill: message.skill.name, region: search.region, certainty: search.certainty,
            dataBytes: message.dataBytes, key: key)
        exchange.answer(Response(.validation(validation), region: nil))
    }

    /// As it would be refused if it were to be sent.
    private func refusal(_ report: KeyReport?) -> Refusal? {
        switch report?.fingerprint.flatMap({ claim?.difference(from: $0) }) {
        case .mismatched: .idempotencyKeyReused
        case .indistinct: .idempotencyKeyIndistinct
        default: refusalToSend(report)
        }
    }

    /// A duplicate of an accepted message is answered all the same.
    private func refusalToSend(_ report: KeyReport?) -> Refusal? {
        if case .accepted = report?.state { return nil }
        if isGone { return .userGone }
        return exchange.forwarder.paused(message.caller, message.skill, search.region)?.refusal
    }

    private var isGone: Bool {
        search.certainty != .stated
            && message.skill.users.isGone(message.user, now: exchange.eventLoop.now)
    }
}
