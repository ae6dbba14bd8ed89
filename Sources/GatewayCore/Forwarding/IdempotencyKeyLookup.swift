import NIOCore

/// `GET /v1/idempotency-keys/{key}`: reports the state of a key to the caller that owns it. Sends nothing upstream.
struct IdempotencyKeyLookup {
    let exchange: Exchange

    /// - Parameter segment: where the key stands in the request's head.
    func begin(_ segment: Range<Int>) {
        do {
            let key = try OwnKey(exchange, segment)
            // It changes nothing here, and must not contradict itself all the same.
            _ = try exchange.fields.statedRegion(in: exchange.configuration.regions)
            exchange.allowed(key.scope)
            exchange.reported(on: key.scope) { report in
                guard let report else { return exchange.answer(Response(.refusal(.storeUnavailable), region: nil)) }
                key.answer(exchange, report)
            }
        } catch {
            exchange.refuse(error)
        }
    }
}

extension Exchange {
    /// Calls `then` with what has become of a key; with nil if the store cannot be reached.
    func reported(on scope: IdempotencyScope, _ then: @escaping (KeyReport?) -> Void) {
        switch forwarder.store.report(on: scope, on: eventLoop) {
        case .now(let report): then(report)
        case .later(let future): future.assumeIsolated().whenSuccess(then)
        }
    }
}
