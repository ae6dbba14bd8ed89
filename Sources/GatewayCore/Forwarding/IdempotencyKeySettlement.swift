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
            let region = try region(of: key)
            try readContent()
            exchange.allowed()
            exchange.reported(on: key.scope) { settle(key, in: region, $0) }
        } catch {
            exchange.refuse(error)
        }
    }

    /// Where the message was sent: part of the answer that its duplicates get.
    private func region(of key: OwnKey) throws(Refusal) -> Region {
        let fields = exchange.fields
        let region =
            if let stated = try fields.statedRegion(in: exchange.configuration.regions) { stated } else {
                try fields.assumedRegion(of: key.skill, for: key.caller, .off)
            }
        guard key.caller.regions.contains(region) else {
            throw Refusal(.notAllowed, "the caller is not authorized to send to region \(region.name)")
        }
        exchange.labels.region = region
        return region
    }

    private func readContent() throws(Refusal) {
        let content = exchange.request.content
        let bytes = content.readableBytesUInt8Span
        var state: String?
        do {
            if let value = try JSONMembers.value(at: ["state"], in: bytes) {
                state = try JSONMembers.string(bytes, value)
            }
        } catch {
            throw Refusal(error)
        }
        guard state == "accepted" else {
            throw Refusal(
                .messageInvalid,
                "expected `{\"state\":\"accepted\"}`; nothing else can be known of a message that was sent")
        }
    }

    /// - Parameter report: nil if the store cannot be reached.
    private func settle(_ key: OwnKey, in region: Region, _ report: KeyReport?) {
        guard let report else { return refuse(.storeUnavailable) }
        switch (report.state, report.fingerprint) {
        case (.accepted, _): key.answer(exchange, report)
        case (.inFlight(let left), _): refuse(.idempotencyKeyInUse(retryAfter: left))
        case (.absent, _), (.unknown, nil):
            refuse(Refusal(.notFound, "nothing is known of this key, so there is no outcome to settle"))
        case (.unknown, let fingerprint?):
            settle(key, AcceptedResponse(status: 202, region: region, requestID: nil), fingerprint, report)
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
        let result = AttemptResult(.success(UpstreamResponse(accepted)), region: accepted.region)
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

    private func refuse(_ refusal: Refusal) { exchange.answer(Response(.refusal(refusal), region: nil)) }
}
