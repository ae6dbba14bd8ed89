import NIOCore

/// What a message's trace is told.
extension Forwarding {
    func begin(_ step: ForwardingState.Step, in trace: ExchangeTrace) {
        let now = eventLoop.now
        switch step {
        case .obtainToken: trace.begin(.token(isRenewal: false), nil, now: now)
        case .renewToken: trace.begin(.token(isRenewal: true), nil, now: now)
        case .leaseConnection: trace.begin(.queue, region, now: now)
        case .awaitQuota: trace.begin(.quota, region, now: now)
        case .claim:
            if claim != nil { trace.begin(.claim(forwarder.storeKind, outcome: nil), nil, now: now) }
        // Begins when it is written.
        case .send: trace.end(now: now)
        case .settle:
            if claim != nil && state.claimedAt != nil {
                trace.begin(.settle, nil, now: now)
            } else {
                trace.end(now: now)
            }
        case .consultRecord: trace.begin(.record, nil, now: now)
        case .awaitConcurrent: trace.begin(.duplicate, nil, now: now)
        case .answer: trace.end(now: now)
        }
    }

    func claimed(_ reply: ClaimReply, in trace: ExchangeTrace) {
        trace.claimed(reply)
        guard reply.outcome == .owned, let claim else { return }
        forwarder.traces?.sending(trace, claim.scope, retention: claim.retention)
    }

    /// The answer is known here already.
    func found(_ reply: ClaimReply, in trace: ExchangeTrace) {
        trace.begin(.claim(reply.store, outcome: nil), nil, now: eventLoop.now)
        trace.claimed(reply)
    }

    /// A message that was not sent because another is, or was, refers to that one.
    func link(_ trace: ExchangeTrace, _ ending: ForwardingState.Ending) {
        trace.record = claim?.scope
        guard let claim, state.claimedAt == nil else { return }
        var isInUse = false
        if case .failure(let refusal) = ending.outcome { isInUse = refusal.problem == .idempotencyKeyInUse }
        if ending.isReplay || isInUse { trace.addLink(to: claim.scope) }
    }
}
