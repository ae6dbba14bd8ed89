import NIOCore

/// `PUT /v1/idempotency-keys/{key}` with `{"state":"accepted"}`: the caller that owns a key has learned elsewhere that Amazon
/// accepted its message, of which the gateway knows only that it may have.
///
/// Only an unknown outcome is settled. That of a message in flight will come, and what was accepted stays so.
struct IdempotencyKeySettlement {
    let exchange: Exchange

    /// - Parameter segment: where the key stands in the request's head.
    func begin(_ segment: Range<Int>) {
        do {
            let key = try OwnKey(exchange, segment)
            try exchange.fields.refuseValidationOnly()
            // It changes nothing here, and must not contradict itself all the same.
            _ = try exchange.fields.statedRegion(in: exchange.configuration.regions)
            try readContent()
            exchange.reported(on: key.scope) { settle(key, $0) }
        } catch {
            exchange.refuse(error)
        }
    }

    private static let expected =
        "expected `{\"state\":\"accepted\"}`: nothing else can be known of a message that was sent"

    private func readContent() throws(Refusal) {
        let content = exchange.request.content
        let bytes = content.readableBytesUInt8Span
        var state: String?
        do {
            if let value = try JSONMembers.value(at: ["state"], in: bytes) {
                state = try JSONMembers.string(bytes, value)
            }
        } catch {
            throw Refusal(.messageInvalid, "the content is no JSON object with one `state`; \(Self.expected)")
        }
        guard state == "accepted" else { throw Refusal(.messageInvalid, Self.expected) }
    }

    /// - Parameter report: nil if the store cannot be reached.
    private func settle(_ key: OwnKey, _ report: KeyReport?) {
        guard let report else { return exchange.refuse(.storeUnavailable) }
        switch (report.state, report.fingerprint) {
        case (.accepted, _):
            exchange.allowed(key.scope)
            key.answer(exchange, report)
        case (.inFlight(let left), _): exchange.refuse(.idempotencyKeyInUse(retryAfter: left))
        case (.absent, _), (.unknown, nil):
            exchange.refuse(Refusal(.notFound, "nothing is known of this key, so there is no outcome to settle"))
        case (.unknown, let fingerprint?):
            exchange.allowed(key.scope)
            settle(key, AcceptedResponse(status: 202, region: nil, requestID: nil), fingerprint, report)
        }
    }

    private func settle(
        _ key: OwnKey, _ accepted: AcceptedResponse, _ fingerprint: RequestFingerprint, _ report: KeyReport
    ) {
        let retention = TimeAmount(report.remaining ?? key.retention)
        // As if an attempt of the same message had been answered so late. The record lives no longer for it.
        let claim = IdempotencyClaim(
            scope: key.scope, fingerprint: fingerprint, owner: exchange.forwarder.nextAttempt(),
            lease: exchange.snapshot.times.lease, retention: retention, consent: false, caller: key.caller.label,
            isBrief: true)
        let result = AttemptResult(accepted)
        var settled = report
        settled.state = .accepted(accepted)
        switch exchange.forwarder.store.settle(claim, .accepted(accepted), result: result, on: exchange.eventLoop) {
        case .now(let reply): answer(key, settled, reply)
        case .later(let future): future.assumeIsolated().whenSuccess { answer(key, settled, $0) }
        }
    }

    private func answer(_ key: OwnKey, _ settled: KeyReport, _ reply: SettlementReply) {
        key.answer(exchange, settled, reply == .pending ? .pending : nil)
    }
}
