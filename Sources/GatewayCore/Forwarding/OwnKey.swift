import NIOCore

/// An idempotency key in the path of a request by the caller that owns it.
struct OwnKey {
    let caller: Caller
    let skill: Skill
    let scope: IdempotencyScope
    /// How long its record lives.
    let retention: Duration

    /// Authenticates the request, and reads it but for its content.
    ///
    /// - Parameter segment: where the key stands in the request's head.
    init(_ exchange: Exchange, _ segment: Range<Int>) throws(Refusal) {
        caller = try exchange.authenticate()
        skill = try exchange.skill(of: caller)
        do {
            let key = try IdempotencyKey(segment: segment, of: exchange.request.headBytes)
            scope = exchange.forwarder.hasher.scope(prefix: exchange.snapshot.scopePrefix(caller, skill), key: key)
            retention = key.isOfContent ? caller.keySources.contentWindow : exchange.configuration.retention
        } catch {
            throw Refusal(error)
        }
        exchange.trace?.addLink(to: scope)
        exchange.trace?.record = scope
    }

    /// Answers with what has become of the key.
    func answer(_ exchange: Exchange, _ report: KeyReport, _ deduplication: Response.Deduplication? = nil) {
        let status = KeyStatus(report, retention: retention, now: exchange.forwarder.timestamp())
        var answer = Response(.report(status), region: nil)
        answer.deduplication = deduplication
        exchange.answer(answer)
    }
}
