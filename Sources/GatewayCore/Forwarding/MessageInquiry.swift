import NIOCore

/// `Gateway-Validate-Only: ?1`: answers what would become of a valid message, without token, connection, claim and send.
struct MessageInquiry {
    private let exchange: Exchange
    private let message: Message
    private let claim: IdempotencyClaim?

    init(_ exchange: Exchange, _ message: Message) {
        self.exchange = exchange
        self.message = message
        claim = message.claim(in: exchange)
    }

    func answer() {
        guard let claim else { return answer(nil) }
        switch exchange.forwarder.store.report(on: claim.scope, on: exchange.eventLoop) {
        case .now(let report): answer(report)
        case .later(let future): future.assumeIsolated().whenSuccess { answer($0) }
        }
    }

    /// - Parameter report: nil where the store cannot be reached, or where there is no key.
    private func answer(_ report: KeyReport?) {
        let key = message.key.map { key in
            MessageValidation.Key(
                key: key, source: exchange.labels.keySource ?? .field, state: report?.state,
                isSameMessage: report?.fingerprint.flatMap { claim?.difference(from: $0) == nil })
        }
        let validation = MessageValidation(
            skill: message.skill.name, region: message.search.region, certainty: message.search.certainty,
            dataBytes: message.dataBytes, key: key)
        exchange.answer(Response(.validation(validation), region: nil))
    }
}
