import NIOCore

/// `GET /v1/idempotency-keys/{key}`: what became of a message, told to the caller whose key it is. Sends nothing.
struct KeyInquiry {
    let forwarder: MessageForwarder
    let request: InboundRequest
    let peer: Peer

    func begin(_ segment: Range<Int>, _ recipient: any AnswerRecipient) {
        var labels = ForwardingInstruments.Labels()
        labels.trace = RequestFields(request).trace
        var method: CallerDirectory.Method?
        do {
            let scope = try scope(segment, &labels, &method)
            forwarder.logs.audit?.decided(.inquiry, labels, by: method, from: peer, problem: nil)
            switch forwarder.store.report(on: scope, on: forwarder.eventLoop) {
            case .now(let report): answer(report, recipient)
            case .later(let future): future.assumeIsolated().whenSuccess { answer($0, recipient) }
            }
        } catch {
            forwarder.logs.audit?.decided(.inquiry, labels, by: method, from: peer, problem: error.problem)
            refuse(error, recipient)
        }
    }

    private func scope(
        _ segment: Range<Int>, _ labels: inout ForwardingInstruments.Labels, _ method: inout CallerDirectory.Method?
    ) throws(Refusal) -> IdempotencyScope {
        let (caller, skill) = try forwarder.admit(request, from: peer, &labels, &method)
        let key = try IdempotencyKey(segment: segment, of: request.headBytes)
        return forwarder.hasher.scope(prefix: forwarder.snapshot.scopePrefix(caller, skill), key: key)
    }

    private func answer(_ report: KeyReport?, _ recipient: any AnswerRecipient) {
        guard let report else {
            return refuse(
                Refusal(
                    .storeUnavailable, "the idempotency store cannot be reached", retryAfterSeconds: 1),
                recipient)
        }
        recipient.answered(Answer(.report(report.state), region: nil))
    }

    private func refuse(_ refusal: Refusal, _ recipient: any AnswerRecipient) {
        forwarder.refused(refusal.problem, from: peer)
        recipient.answered(Answer(.refusal(refusal), region: nil))
    }
}
