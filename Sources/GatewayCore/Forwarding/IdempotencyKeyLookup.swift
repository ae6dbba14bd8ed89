import NIOCore

/// `GET /v1/idempotency-keys/{key}`: reports the state of a key to the caller that owns it. Sends nothing upstream.
struct IdempotencyKeyLookup {
    let exchange: Exchange

    /// - Parameter segment: where the key stands in the request's head.
    func begin(_ segment: Range<Int>) {
        do {
            let scope = try scope(segment)
            exchange.allowed()
            let eventLoop = exchange.eventLoop
            switch exchange.forwarder.store.report(on: scope, on: eventLoop) {
            case .now(let report): answer(report)
            case .later(let future): future.assumeIsolated().whenSuccess { answer($0) }
            }
        } catch {
            exchange.refuse(error)
        }
    }

    private func scope(_ segment: Range<Int>) throws(Refusal) -> IdempotencyScope {
        let caller = try exchange.authenticate()
        let skill = try exchange.skill(of: caller)
        // It changes nothing here, and must not contradict itself all the same.
        _ = try exchange.fields.statedRegion(in: exchange.configuration.regions)
        do {
            let key = try IdempotencyKey(segment: segment, of: exchange.request.headBytes)
            return exchange.forwarder.hasher.scope(prefix: exchange.snapshot.scopePrefix(caller, skill), key: key)
        } catch {
            throw Refusal(error)
        }
    }

    private func answer(_ report: KeyReport?) {
        let content: Response.Content =
            if let report {
                .report(report.state)
            } else {
                .refusal(
                    Refusal(.storeUnavailable, "the idempotency store cannot be reached", retryAfterSeconds: 1))
            }
        exchange.answer(Response(content, region: nil))
    }
}
