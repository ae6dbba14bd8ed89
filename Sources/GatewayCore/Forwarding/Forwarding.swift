import NIOCore

/// The way of one message through the gateway, from the request to the answer:
///
///     authenticate → validate → region → token → connection → claim → send → settle → answer
///
/// `Message` does the first three. The rest are the steps below, in their order: each does one thing, waits for it if need
/// be, and tells `ForwardingState`, which says what comes next. A duplicate of a message that this process knows to be
/// accepted is answered before the token.
///
/// Everything that can fail on the gateway's side comes before the claim, so that a message that is claimed and not
/// sent is one for microseconds. From the claim on, the way is gone to its end whatever the caller does.
final class Forwarding {
    let exchange: Exchange
    let message: Message
    private let claim: IdempotencyClaim?
    let deadline: NIODeadline
    var state: ForwardingState
    /// Read once whenever a wait is over, since a read at each step would be expensive.
    private var now: NIODeadline
    /// When the wait for a connection or for a response began.
    var waitingSince: NIODeadline

    var forwarder: MessageForwarder { exchange.forwarder }
    var eventLoop: any EventLoop { exchange.forwarder.eventLoop }
    var region: Region { state.search.region }

    static func begin(_ exchange: Exchange, user: Range<Int>) {
        do {
            let message = try Message(exchange, user: user)
            exchange.allowed()
            let forwarding = Forwarding(message, exchange)
            forwarding.run(from: forwarding.firstStep())
        } catch {
            exchange.refuse(error)
        }
    }

    private init(_ message: Message, _ exchange: Exchange) {
        self.exchange = exchange
        self.message = message
        claim = message.claim(in: exchange)
        deadline = exchange.started + exchange.snapshot.times.deadline
        state = ForwardingState(message.search, isKeyed: message.key != nil)
        now = exchange.started
        waitingSince = exchange.started
    }

    /// A message that is known to be accepted, or whose user is known to be gone, needs neither token nor connection.
    private func firstStep() -> ForwardingState.Step {
        if let claim, let answer = forwarder.store.acceptedAnswer(to: claim, now: now) {
            forwarder.instruments.claimed(ClaimReply(.accepted(answer), forwarder.store.kind))
            return .replay(answer)
        }
        // A region that is stated counts more than what other messages found.
        let isGone = message.search.certainty != .stated && message.skill.users.isGone(message.user, now: now)
        return isGone ? state.unsent(.userGone) : .obtainToken
    }

    /// A wait is over.
    func resume(_ next: ForwardingState.Step?) {
        guard let next else { return }
        now = eventLoop.now
        run(from: next)
    }

    private func run(from step: ForwardingState.Step) {
        var next: ForwardingState.Step? = step
        while let step = next { next = perform(step) }
    }

    /// - Returns: the next step; nil where this one is waited for, or was the last.
    private func perform(_ step: ForwardingState.Step) -> ForwardingState.Step? {
        switch step {
        case .obtainToken:
            let token = message.skill.tokens.token(on: eventLoop, now: now)
            return when(token, within: tokenTimeout, ()) { forwarding, result, _ in forwarding.state.obtained(result) }
        case .leaseConnection:
            waitingSince = now
            guard now < deadline else { return state.leased(.failure(.connectTimeout)) }
            return forwarder.pools[region].lease(for: self).map { state.leased($0) }
        case .claim(let connection):
            guard let claim else { return .send(connection) }
            return when(forwarder.store.claim(claim, on: eventLoop), connection) { $0.claimed($1, holding: $2) }
        case .send(let connection):
            forwarder.sends.append(Send(forwarding: self, connection: connection))
            return nil
        case .renewToken(let token, let refusal):
            guard let renewal = message.skill.tokens.renewed(refused: token.generation, on: eventLoop) else {
                return renewed(nil, after: refusal)
            }
            return when(renewal, within: tokenTimeout, refusal) { $0.renewed($1, after: $2) }
        case .settle(let settlement, let outcome):
            // The record first, then the caller: who is told 202 finds that answer again.
            guard let claim, state.claimedAt != nil else { return .answer(outcome, region, isReplay: false) }
            let result = AttemptResult(outcome.mapError { $0 }, region: region)
            let reply = forwarder.store.settle(claim, settlement, result: result, on: eventLoop)
            return when(reply, (settlement, outcome)) { $0.settled($1, $2.0, $2.1) }
        case .consultRecord(let refusal):
            guard let claim else { return .answer(.failure(refusal), region, isReplay: false) }
            return when(forwarder.store.report(on: claim.scope, on: eventLoop), (claim, refusal)) {
                $0.state.consulted($1, of: $2.0, waits: $0.waitsForConcurrent, $2.1)
            }
        case .awaitConcurrent(let leaseLeft):
            guard waitsForConcurrent, let claim else { return keyInUse(leaseLeft) }
            return when(forwarder.store.resultOfAttemptInFlight(claim, on: eventLoop), within: left, leaseLeft) {
                forwarding, result, leaseLeft in
                result.map { forwarding.state.concurrentEnded($0) } ?? forwarding.keyInUse(leaseLeft)
            }
        case .answer(let outcome, let region, let isReplay):
            var answer = Answer(Answer.Content(outcome), region: region, isReplay: isReplay)
            answer.deduplication = state.deduplication
            exchange.answer(answer, sends: state.sends)
            return nil
        }
    }

    /// What `then` makes of a value: now, or, where that comes later, not until then.
    ///
    /// - Parameters:
    ///   - context: what `then` needs besides. Passed and not captured, so that a value that is there costs no allocation.
    private func when<Value, Context>(
        _ eventual: Eventual<Value>, _ context: Context,
        _ then: @escaping (Forwarding, Value, Context) -> ForwardingState.Step
    ) -> ForwardingState.Step? {
        switch eventual {
        case .now(let value): return then(self, value, context)
        case .later(let future):
            future.assumeIsolated().whenSuccess { self.resume(then(self, $0, context)) }
            return nil
        }
    }

    /// The same, with nil for a value that has taken longer than `limit`.
    private func when<Value, Context>(
        _ eventual: Eventual<Value>, within limit: @autoclosure () -> Duration, _ context: Context,
        _ then: @escaping (Forwarding, Value?, Context) -> ForwardingState.Step
    ) -> ForwardingState.Step? {
        switch eventual {
        case .now(let value): return then(self, value, context)
        case .later(let future):
            eventLoop.wait(for: future, atMost: limit()) { self.resume(then(self, $0, context)) }
            return nil
        }
    }

    private func claimed(_ reply: ClaimReply, holding connection: any UpstreamConnection) -> ForwardingState.Step {
        forwarder.instruments.claimed(reply)
        if reply.outcome != .owned { connection.giveBack() }
        // The time is still that of the question.
        return state.claimed(reply, at: now, from: forwarder.store.kind, holding: connection)
    }

    private func renewed(_ result: TokenCache.Obtained?, after refusal: UpstreamAnswer) -> ForwardingState.Step {
        state.renewed(result, after: refusal, isLate: eventLoop.now >= deadline)
    }

    private func settled(
        _ reply: SettlementReply, _ settlement: Settlement, _ outcome: ForwardingState.Outcome
    ) -> ForwardingState.Step {
        state.settled(reply, settlement)
        return .answer(outcome, region, isReplay: false)
    }

    private func keyInUse(_ leaseLeft: Duration) -> ForwardingState.Step {
        // No lease is longer than this, whatever a store's clock has been made to say.
        let wait = min(leaseLeft, Duration(exchange.snapshot.times.lease))
        return .answer(.failure(.idempotencyKeyInUse(retryAfter: wait)), region, isReplay: false)
    }

    private var waitsForConcurrent: Bool { exchange.configuration.concurrentDuplicates == .wait }
    /// What is left of the message's deadline.
    private var left: Duration { Duration(from: eventLoop.now, to: deadline) }
    private var tokenTimeout: Duration { min(left, exchange.configuration.limits.tokenTimeout) }
}
