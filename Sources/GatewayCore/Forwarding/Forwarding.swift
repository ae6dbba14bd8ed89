import NIOCore

/// Forwards one message, from the request to the response:
///
///     authenticate → validate → region → token → connection → claim → send → settle → answer
///
/// `Message` does the first three. The rest are the steps in `perform`: each does one thing, waits for it if necessary,
/// and passes the result to `ForwardingState`, which returns the next step. A duplicate of a message that this process knows
/// to be accepted is answered before the token is obtained.
///
/// Everything that can fail inside the gateway comes before the claim, so that only microseconds pass between claim and
/// send. After the claim, forwarding continues to its end even if the caller disconnects.
final class Forwarding {
    let exchange: Exchange
    /// That of the exchange.
    let forwarder: MessageForwarder
    let message: Message
    let claim: IdempotencyClaim?
    /// Of the caller, or of the configuration if that comes first.
    let deadline: NIODeadline
    /// Of the configuration: so long a region may take.
    let limit: NIODeadline
    /// The place among the caller's messages in flight that is kept until the region's time is up.
    var usage: CallerUsage?
    /// That on which it is sent at the end of the turn, or given back unused.
    var leased: (any UpstreamConnection)?
    /// That on which the answer is awaited; nil where nothing else can tell of it.
    var awaited: (any UpstreamConnection)?
    /// A receipt of the message has been asked for, once for all sends.
    var hasLookedForReceipt = false
    var state: ForwardingState
    /// Where the caller's share of the skill's quota lets it be sent. It counts as used up even if the message is not sent after all.
    private var admitted: Region?
    /// Where it is watched until its outcome is known.
    var unknownOutcome: UnknownOutcomes.Message?
    /// Times it was sent again there after a 429.
    var throttledResends = 0
    /// Read once after each wait, since reading the clock at every step would be expensive.
    private var now: NIODeadline
    /// When the wait for a connection or for a response began.
    var waitingSince: NIODeadline

    var eventLoop: any EventLoop { forwarder.eventLoop }
    var region: Region { state.search.region }

    static func begin(_ exchange: Exchange, user: Range<Int>) {
        do {
            let message = try Message.read(exchange, user: user)
            guard let known = try message.askReplicas(in: exchange) else { return begin(message, exchange) }
            let left = Duration(from: exchange.eventLoop.now, to: exchange.started + message.timeLimit)
            exchange.waitForSharedStore(known, atMost: left) { _ in begin(message, exchange) }
        } catch {
            exchange.refuse(error)
        }
    }

    private static func begin(_ message: consuming Message, _ exchange: Exchange) {
        do {
            let search = try message.search(in: exchange)
            exchange.allowed()
            if message.isOnlyToBeValidated { return MessageInquiry(exchange, message, search).answer() }
            let forwarding = Forwarding(consume message, search, exchange)
            forwarding.run(from: forwarding.firstStep())
        } catch {
            exchange.refuse(error)
        }
    }

    private init(_ message: consuming Message, _ search: RegionSearch, _ exchange: Exchange) {
        self.exchange = exchange
        forwarder = exchange.forwarder
        claim = message.claim(in: exchange)
        deadline = exchange.started + message.timeLimit
        limit = exchange.started + exchange.snapshot.times.deadline
        state = ForwardingState(search, isKeyed: message.key != nil)
        now = exchange.hasWaited ? forwarder.now : exchange.started
        waitingSince = now
        self.message = message
    }

    /// What an operator has paused of the message, where it would go now.
    var paused: Pauses.Subject? { forwarder.paused(message.caller, message.skill, region) }

    /// A message that is known to be accepted, or whose user is known to be gone, needs neither token nor connection.
    private func firstStep() -> ForwardingState.Step {
        if let claim, let answer = forwarder.acceptedResponse(to: claim, now: now) {
            let reply = ClaimReply(.accepted(answer), forwarder.storeKind)
            forwarder.instruments.claimed(reply)
            if let trace = exchange.trace { found(reply, in: trace) }
            return state.replay(answer)
        }
        // A region that the request states overrides an earlier finding that the user is gone.
        let isGone = state.search.certainty != .stated && message.skill.isGone(message.user, now: now)
        if isGone { return state.unsent(.userGone) }
        if let paused = forwarder.paused(message.caller, message.skill) {
            return state.unsent(paused.refusal)
        }
        return .obtainToken
    }

    /// Continues after a wait; nil if another wait has begun.
    func resume(_ next: ForwardingState.Step?) {
        guard let next else { return }
        resume(next, now: forwarder.now)
    }

    func resume(_ next: ForwardingState.Step, now: NIODeadline) {
        self.now = now
        run(from: next)
    }

    private func run(from step: ForwardingState.Step) {
        var next: ForwardingState.Step? = step
        while let step = next {
            if let trace = exchange.trace { begin(step, in: trace) }
            next = perform(step)
        }
    }

    /// - Returns: the next step; nil if this one waits or was the last.
    private func perform(_ step: ForwardingState.Step) -> ForwardingState.Step? {
        switch step {
        case .obtainToken:
            let token = forwarder.token(of: message.skill, now: now)
            return when(token, within: tokenTimeout, ()) { forwarding, result, _ in forwarding.state.obtained(result) }
        case .leaseConnection:
            waitingSince = now
            if let paused { return state.unsent(paused.refusal) }
            guard now < deadline else { return state.notLeased(.connectTimeout) }
            if admitted != region {
                if let wait = quota?.admit(message.caller, now: now) {
                    return state.unsent(.skillQuota(retryAfter: wait))
                }
                (admitted, throttledResends) = (region, 0)
            }
            return forwarder.lease(in: region, for: self).map { leased($0) }
        case .awaitQuota(let verdict): return awaitQuota(verdict)
        case .claim:
            guard let claim else { return .send }
            guard now < deadline else {
                releaseConnection()
                return state.met(.tooLate)
            }
            return when(forwarder.claim(claim, now: now), ()) { forwarding, reply, _ in forwarding.claimed(reply) }
        case .send:
            forwarder.performAtEndOfTick(self)
            return nil
        case .renewToken:
            let generation = state.token?.generation ?? 0
            guard let renewal = message.skill.tokens.renewed(refused: generation, on: eventLoop) else {
                return renewed(nil)
            }
            return when(renewal, within: tokenTimeout, ()) { forwarding, result, _ in forwarding.renewed(result) }
        case .settle:
            // The record before the caller: a caller that got 202 must find it again when it retries.
            guard let claim, state.claimedAt != nil, let (settlement, result) = state.settlement else { return .answer }
            let reply = forwarder.settle(claim, settlement, result, now: now)
            return when(reply, ()) { forwarding, reply, _ in forwarding.state.settled(reply) }
        case .consultRecord:
            guard let claim else { return .answer }
            return when(forwarder.store.report(on: claim.scope, on: eventLoop), claim) {
                $0.state.consulted($1, of: $2, waits: $0.waitsForConcurrent)
            }
        case .awaitConcurrent(let leaseLeft):
            // The store's clock may have been changed, so the wait is capped at the configured lease.
            let leaseLeft = min(leaseLeft, Duration(exchange.snapshot.times.lease))
            guard waitsForConcurrent, now < deadline, let claim else { return state.concurrentInFlight(leaseLeft) }
            return when(forwarder.store.resultOfAttemptInFlight(claim, on: eventLoop), within: left, leaseLeft) {
                forwarding, result, leaseLeft in
                guard let result else { return forwarding.state.concurrentInFlight(leaseLeft) }
                return forwarding.state.concurrentEnded(result)
            }
        case .answer:
            answer()
            return nil
        }
    }

    private func answer() {
        guard let ending = state.takeEnding() else { return }
        var answer = Response(Response.Content(ending.outcome), region: ending.region, isReplay: ending.isReplay)
        answer.deduplication = state.deduplication
        answer.witness = ending.witness
        answer.toldKey = message.toldKey
        if state.search.isElsewhere { exchange.ended(in: state.search.region, of: message.caller) }
        if answer.status >= 500 && state.sends > 0 { watchOutcome(answer) }
        if let trace = exchange.trace { link(trace, ending) }
        // Read a moment ago if anything was waited for; else it is the time of the request's arrival.
        exchange.answer(answer, record: claim?.scope, sends: state.sends, now: state.sends > 0 ? now : nil)
    }

    /// Calls `then` with the value: at once if it is available, otherwise when it arrives (and returns nil until then).
    ///
    /// - Parameters:
    ///   - context: a further argument of `then`. Passed instead of captured, so that a value available at once costs no
    ///     allocation.
    func when<Value, Context>(
        _ eventual: Eventual<Value>, _ context: Context,
        _ then: @escaping (Forwarding, Value, Context) -> ForwardingState.Step?
    ) -> ForwardingState.Step? {
        switch eventual {
        case .now(let value): return then(self, value, context)
        case .later(let future):
            future.assumeIsolated().whenSuccess { self.resume(then(self, $0, context)) }
            return nil
        }
    }

    /// The same; the value is nil if it takes longer than `limit`.
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

    private func claimed(_ reply: ClaimReply) -> ForwardingState.Step {
        forwarder.instruments.claimed(reply)
        if let trace = exchange.trace { claimed(reply, in: trace) }
        if reply.outcome != .owned { releaseConnection() }
        // `now` is still when the store was asked: `resume` updates it only after this returns.
        return state.claimed(reply, at: now, from: forwarder.storeKind)
    }

    private func renewed(_ result: TokenCache.Obtained?) -> ForwardingState.Step {
        state.renewed(result, isLate: eventLoop.now >= deadline)
    }

    private var waitsForConcurrent: Bool { exchange.configuration.concurrentDuplicates == .wait }
    /// What is left of the message's deadline.
    private var left: Duration { Duration(from: eventLoop.now, to: deadline) }
    private var tokenTimeout: Duration { min(left, exchange.configuration.limits.tokenTimeout) }
}
