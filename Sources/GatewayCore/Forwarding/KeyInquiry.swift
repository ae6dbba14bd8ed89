import NIOCore

/// `GET /v1/idempotency-keys/{key}`: what became of a message, told to the caller whose key it is. Sends nothing.
struct KeyInquiry {
    let forwarder: MessageForwarder
    let request: InboundRequest

    func begin(_ segment: Range<Int>, _ recipient: any AnswerRecipient) {
        do {
            let scope = try scope(segment)
            switch forwarder.store.report(on: scope, on: forwarder.eventLoop) {
            case .now(let report): answer(report, recipient)
            case .later(let future): future.assumeIsolated().whenSuccess { answer($0, recipient) }
            }
        } catch {
            refuse(error, recipient)
        }
    }

    private func scope(_ segment: Range<Int>) throws(Refusal) -> IdempotencyScope {
        let configuration = forwarder.configuration
        let fields = RequestFields(request)
        let caller = try configuration.callers.authenticate(request)
        try fields.refuseRepeated()
        let skill = try fields.skill(of: caller, in: configuration.skills)
        let key = try IdempotencyKey(segment: segment, of: request.headBytes)
        return forwarder.scope(caller: caller, skill: skill, key: key)
    }

    private func answer(_ report: KeyReport?, _ recipient: any AnswerRecipient) {
        guard let report else {
            return refuse(
                Refusal(
                    .storeUnavailable, "the store of idempotency keys cannot be reached", retryAfterSeconds: 1),
                recipient)
        }
        recipient.answered(Answer(.report(report.state), region: nil))
    }

    private func refuse(_ refusal: Refusal, _ recipient: any AnswerRecipient) {
        forwarder.refused(refusal.problem)
        recipient.answered(Answer(.refusal(refusal), region: nil))
    }
}
