import NIOCore

/// One request and its response, on any route: authenticates the caller, then audits, counts, logs and answers the request,
/// exactly once.
final class Exchange {
    let forwarder: MessageForwarder
    let request: InboundRequest
    private let base: BasePath
    /// A request keeps the configuration it began with, even across a reload.
    let snapshot: ConfigurationSnapshot
    let started: NIODeadline
    private let action: AuditLog.Action
    /// The message is only to be validated.
    var isValidation = false
    private let peer: Peer
    /// Whose the request is, or why it is nobody's; nil: that has to be found out.
    private var shown: CallerDirectory.Shown?
    /// Whether the rate that counts over all replicas lets it come; nil: that has to be found out, if there is one.
    private var permit: SharedRate.Decision?
    private static let sharedStoreTimeout = Duration.seconds(2)
    /// The shared store was waited for, so that `started` is past.
    private(set) var hasWaited = false
    private let recipient: any ResponseRecipient
    var labels = ForwardingInstruments.Labels()
    private var method: CallerDirectory.Method?
    /// The usage that counts this message as in flight; nil if the caller has no in-flight limit.
    private var usage: CallerUsage?
    /// The caller, if its rate is limited.
    private var limited: Caller?
    private var isAboveRate = false
    /// Nil: the request has none.
    private(set) var trace: ExchangeTrace?

    init(
        _ action: AuditLog.Action, _ request: InboundRequest, _ base: BasePath, from peer: Peer,
        _ shown: consuming CallerDirectory.Shown?, to recipient: any ResponseRecipient,
        on forwarder: MessageForwarder, arrived: NIODeadline
    ) {
        self.action = action
        self.request = request
        self.base = base
        self.peer = peer
        self.shown = shown
        self.recipient = recipient
        self.forwarder = forwarder
        snapshot = forwarder.snapshot
        started = arrived
        if action == .message { forwarder.instruments.messageBegan() }
        labels.trace = fields.trace
        labels.id = request.id
        if let traces = forwarder.traces { beginTrace(traces) }
    }

    private func beginTrace(_ traces: TraceRecorder) {
        guard let trace = traces.begin(labels.trace, at: started) else { return }
        labels.trace = TraceContext(trace.id, parentID: trace.parentID, isSampled: true, spanID: trace.spanID)
        self.trace = trace
    }

    var fields: RequestFields { RequestFields(request, base) }
    var configuration: ForwardingConfiguration { snapshot.configuration }
    var eventLoop: any EventLoop { forwarder.eventLoop }

    // MARK: Authentication

    /// Finds out whether the caller's rate lets the request come, where replicas share that rate.
    ///
    /// - Returns: nil if it is known, as it nearly always is; else what comes when the shared store has been asked.
    func permitToAwait() -> EventLoopFuture<SharedRate.Decision>? {
        let shown =
            self.shown
            ?? CallerDirectory.Shown(
                Result { () throws(CallerError) in
                    try configuration.callers.authenticate(request, from: peer, clock: forwarder.timestamp)
                })
        self.shown = shown
        guard case .caller((let caller, _)) = shown, let sharedRate = caller.sharedRate, let rate = caller.limits.rate,
            // What is let through in any case does not wait.
            !caller.reportedRules.contains(.rate)
        else { return nil }
        switch sharedRate.pass(rate, now: eventLoop.now, on: eventLoop) {
        case .now(let decision):
            permit = decision
            return nil
        case .later(let decision): return decision
        }
    }

    func await(_ decision: EventLoopFuture<SharedRate.Decision>, then: @escaping () -> Void) {
        let limit = (try? fields.timeout()) ?? TimeAmount(configuration.limits.deadline)
        waitForSharedStore(decision, atMost: Duration(limit)) { decision in
            // One that is not waited for any longer still uses up its permit when that comes.
            self.permit = decision ?? .success(())
            then()
        }
    }

    /// Calls `then` once: with nil if the shared store takes too long, or half of what the request may take.
    func waitForSharedStore<Value: Sendable>(
        _ future: EventLoopFuture<Value>, atMost left: Duration, then: @escaping (Value?) -> Void
    ) {
        hasWaited = true
        trace?.begin(.replicas, nil, now: eventLoop.now)
        eventLoop.wait(for: future, atMost: min(Self.sharedStoreTimeout, left / 2)) { value in
            self.trace?.end(now: self.eventLoop.now)
            then(value)
        }
    }

    /// The caller, by whatever credentials the request carries.
    func authenticate() throws(Refusal) -> Caller {
        let (caller, method) = try forwarder.authenticate(request, from: peer, shown)
        try authenticated(caller, by: method)
        return caller
    }

    /// The client that asks for an access token.
    func authenticate(_ credentials: [AccessTokenRequest.Credentials]) throws(Refusal) -> CallerTokens.Client {
        let (caller, client): (Caller, CallerTokens.Client)
        do {
            (caller, client) = try configuration.callers.authenticate(credentials)
        } catch {
            throw forwarder.failedAttempt(error, from: peer)
        }
        try authenticated(caller, by: .clientSecret)
        return client
    }

    private func authenticated(_ caller: Caller, by method: CallerDirectory.Method) throws(Refusal) {
        labels.caller = caller.label
        self.method = method
        if caller.limits.rate != nil { limited = caller }
        do {
            try pass(caller)
        } catch {
            isAboveRate = true
            try enforce(.rate, on: caller, Refusal(error))
        }
    }

    private func pass(_ caller: Caller) throws(CallerError) {
        if let permit { return try permit.get() }
        guard let sharedRate = caller.sharedRate, let rate = caller.limits.rate else {
            return try caller.usage.pass(caller.limits.rate, now: started)
        }
        try sharedRate.passAtOnce(rate, now: eventLoop.now)
    }

    /// The caller breaks a rule: the request is refused, unless the rule is only reported.
    func enforce(_ rule: CallerRule, on caller: Caller, _ refusal: @autoclosure () -> Refusal) throws(Refusal) {
        guard caller.reportedRules.contains(rule) else { throw refusal() }
        report(rule, brokenBy: caller)
    }

    private func report(_ rule: CallerRule, brokenBy caller: Caller) {
        labels.brokenRules.insert(rule)
        forwarder.instruments.reported(rule, of: caller.label)
    }

    /// Counts the message against the caller's in-flight limit until it is answered.
    func enter(_ caller: Caller) throws(Refusal) {
        guard let maximum = caller.limits.maximumInFlight else { return }
        do {
            try caller.usage.enter(maximum)
        } catch {
            return try enforce(.maximumInFlight, on: caller, Refusal(error))
        }
        usage = caller.usage
    }

    /// Takes over the place among the caller's messages in flight, which the answer would give back; nil if they are not limited.
    func keepPlace() -> CallerUsage? {
        defer { usage = nil }
        return usage
    }

    /// The skill that the caller sends for.
    func skill(of caller: Caller) throws(Refusal) -> Skill {
        try fields.refuseRepeated()
        let skill = try permittedSkill(of: caller)
        labels.skill = skill.label
        return skill
    }

    /// The skill that is named, or the only one the caller may send for. Must not reveal other skills.
    private func permittedSkill(of caller: Caller) throws(Refusal) -> Skill {
        let skills = configuration.skills
        guard let (name, place) = try fields.statedSkill() else {
            guard caller.skills.count == 1, let index = caller.skills.first else {
                throw Refusal(
                    .skillRequired,
                    "field `Gateway-Skill` or a path that begins with `/skills/{name}` is missing; the caller may send for several skills: "
                        + caller.skills.map { skills[$0].name }.joined(separator: ", "))
            }
            return skills[index]
        }
        if let index = caller.skills.first(where: { skills[$0].name == name }) { return skills[index] }
        let refusal = Refusal(.notAllowed, "the caller is not authorized to send for the skill in \(place)")
        guard let skill = skills.first(where: { $0.name == name }) else { throw refusal }
        try enforce(.skills, on: caller, refusal)
        return skill
    }

    func checkRegion(_ region: Region, of caller: Caller) throws(Refusal) {
        guard !caller.maySend(to: region) else { return }
        try enforce(
            .regions, on: caller,
            Refusal(.notAllowed, "the caller is not authorized to send to region \(region.name)"))
    }

    /// The message ends in a region that was looked in because its caller's regions are only reported.
    func ended(in region: Region, of caller: Caller) {
        if !caller.maySend(to: region) { report(.regions, brokenBy: caller) }
    }

    /// The user that the path names.
    func user(_ segment: Range<Int>) throws(Refusal) -> UserID {
        do {
            return try UserID(parsing: segment, of: request.headBytes)
        } catch {
            throw Refusal(error)
        }
    }

    // MARK: Receipts

    func countReceipts(_ count: Int) throws(Refusal) { try forwarder.countReceipts(count, from: peer) }

    func unknownReceiptOfList() { forwarder.unknownReceiptOfList(request.id, from: peer) }

    func logReceipt(_ report: DeliveryInstruments.Report, of scope: IdempotencyScope, skill: Int) {
        forwarder.logs.access?.reported(report, of: scope, skill: skill, request.id, from: peer)
    }

    func unknownReceipt() -> Refusal { forwarder.unknownReceipt(from: peer) }

    // MARK: Response

    /// Audits a request that is authorized and valid.
    ///
    /// - Parameter record: the one that it is about, of a request that is no message.
    func allowed(_ record: IdempotencyScope? = nil) { audit(nil, record: record) }

    /// Audits a request that is not authorized or not valid, and answers it with the refusal.
    func refuse(_ refusal: Refusal) {
        audit(refusal.problem)
        answer(Response(.refusal(refusal), region: nil))
    }

    private func audit(_ problem: Problem?, record: IdempotencyScope? = nil) {
        forwarder.logs.audit?.decided(
            isValidation ? .validation : action, labels, by: method, from: peer, problem: problem, record: record)
    }

    /// - Parameters:
    ///   - record: that of the message's idempotency key; nil: it has none.
    ///   - sends: times the message was written to a connection.
    ///   - now: read a moment ago; nil: to be read.
    func answer(
        _ answer: Response, record: IdempotencyScope? = nil, sends: Int = 0, now: NIODeadline? = nil
    ) {
        // Nothing of it delays the answer.
        defer { if let trace { finish(trace, answer) } }
        if action == .message {
            let duration = (now ?? eventLoop.now) - started
            labels.region = answer.region ?? labels.region
            forwarder.instruments.messageFinished(labels, answer, seconds: duration.inSeconds)
            forwarder.logs.access?.finished(
                labels, answer, from: peer, record: record, sends: sends, duration: duration)
            usage?.leave()
            if answer.status >= 300 { forwarder.report(answer) }
        } else if case .refusal(let refusal) = answer.content {
            forwarder.refused(refusal.problem, request.id, from: peer)
        }
        guard let limited, let rate = limited.limits.rate else { return recipient.answered(answer) }
        var answer = answer
        answer.quota =
            limited.sharedRate?.quota(rate, now: eventLoop.now) ?? limited.usage.quota(rate, now: eventLoop.now)
        // What other replicas have used up is known here only later.
        if isAboveRate { answer.quota?.remaining = 0 }
        recipient.answered(answer)
    }

    private func finish(_ trace: ExchangeTrace, _ answer: Response) {
        labels.region = answer.region ?? labels.region
        forwarder.traces?.finish(
            trace,
            TraceRecorder.Ending(
                action: isValidation ? .validation : action, labels: labels, answer: answer, peer: peer,
                requestID: request.id, contentBytes: request.content.readableBytes))
    }
}
