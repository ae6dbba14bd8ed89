import NIOCore

/// The way of one message through the gateway, from the request to the answer:
///
///     authenticate → validate → region → token → connection → claim → send → settle → answer
///
/// A duplicate of a message that this process knows to be accepted is answered before the token.
///
/// Everything that can fail on the gateway's side comes before the claim, so that a message that is claimed and not
/// sent is one for microseconds. From the claim on, the way is gone to its end whatever the caller does.
final class Forwarding {
    let forwarder: MessageForwarder
    let snapshot: ConfigurationSnapshot
    private let request: InboundRequest
    private let peer: Peer
    private let userSegment: Range<Int>
    private let recipient: any AnswerRecipient
    private let started: NIODeadline
    private let deadline: NIODeadline

    private(set) var labels = ForwardingInstruments.Labels()
    /// Whose messages in flight this one counts among.
    private var entered: CallerUsage?
    private var authentication: CallerDirectory.Method?
    private(set) var message: Message?
    private var claim: IdempotencyClaim?
    private var claimedAt: NIODeadline?
    private(set) var token: AccessToken?
    /// The shared store cannot be reached, and the configuration says to send all the same.
    private var deduplication: Answer.Deduplication?
    /// Once a message.
    private var isTokenRenewed = false
    /// Times this message was written to a socket.
    private var sends = 0
    private(set) var sentAt: NIODeadline
    private(set) var askedForConnection: NIODeadline
    /// The refusal that is passed on if the message cannot be sent once more, or elsewhere.
    var firstRefusal: UpstreamAnswer?

    init(
        _ request: InboundRequest, from peer: Peer, user: Range<Int>, recipient: any AnswerRecipient,
        on forwarder: MessageForwarder
    ) {
        self.request = request
        self.peer = peer
        self.userSegment = user
        self.recipient = recipient
        self.forwarder = forwarder
        snapshot = forwarder.snapshot
        started = forwarder.eventLoop.now
        deadline = started + snapshot.times.deadline
        sentAt = started
        askedForConnection = started
    }

    func begin() {
        forwarder.instruments.messageBegan()
        do {
            let message = try look()
            self.message = message
            audit(nil)
            if !replay(message) { sendUnlessGone(message) }
        } catch {
            audit(error.problem)
            finish(.refusal(error))
        }
    }

    // MARK: Authenticate, validate, region

    private func look() throws(Refusal) -> Message {
        let configuration = snapshot.configuration
        let fields = RequestFields(request)
        labels.trace = fields.trace
        let (caller, method) = try forwarder.authenticate(request, from: peer)
        labels.caller = caller.label
        authentication = method
        try admit(caller)
        try fields.refuseRepeated()
        let skill = try fields.skill(of: caller, in: configuration.skills)
        labels.skill = skill.label
        let user = try UserID(parsing: userSegment, of: request.headBytes)
        let key = try fields.idempotencyKey(requiredBy: caller)
        let consent = try fields.consentsToResend() || caller.unknownOutcome == .resend
        try fields.refuseContentEncoding()
        let content = request.content
        do {
            if !LeftOut.validation { try MessageValidator.validate(content.readableBytesUInt8Span) }
        } catch {
            throw Refusal(.messageInvalid, error.detail)
        }
        let stated = try fields.statedRegion(in: configuration.regions)
        let learned = stated == nil ? skill.users.region(of: user) : nil
        let region =
            if let known = stated ?? learned { known } else {
                try fields.assumedRegion(of: skill, for: caller, configuration.discovery)
            }
        labels.region = region
        guard caller.regions.contains(region) else {
            throw Refusal(.notAllowed, "the caller is not authorized to send to region \(region.name)")
        }
        let certainty: Message.Certainty = stated != nil ? .stated : learned != nil ? .learned : .guessed
        let mayProbe = certainty != .stated && configuration.discovery == .probe
        let others = mayProbe ? Region.allCases.filter { $0 != region && caller.regions.contains($0) } : []
        return Message(
            caller: caller, skill: skill, user: user, region: region, certainty, otherwise: others, key: key,
            consent: consent)
    }

    /// A region that is stated counts more than what other messages found.
    private func sendUnlessGone(_ message: Message) {
        let isGone = message.certainty != .stated && message.skill.users.isGone(message.user, now: started)
        guard !isGone else { return refuseUnsent(.userGone) }
        obtainToken(message, now: started)
    }

    private func audit(_ problem: Problem?) {
        forwarder.logs.audit?.decided(.message, labels, by: authentication, from: peer, problem: problem)
    }

    /// Whether the caller keeps to its limits.
    private func admit(_ caller: Caller) throws(Refusal) {
        try caller.usage.pass(caller.limits.rate, now: started)
        guard let maximum = caller.limits.maximumInFlight else { return }
        try caller.usage.enter(maximum)
        entered = caller.usage
    }

    /// Answers a duplicate of a message that is known to be accepted: it needs neither token nor connection.
    private func replay(_ message: Message) -> Bool {
        guard let key = message.key,
            let answer = forwarder.store.acceptedAnswer(to: claim(message, key), now: started)
        else { return false }
        forwarder.instruments.claimed(ClaimReply(.accepted(answer), forwarder.store.kind))
        finish(.upstream(UpstreamAnswer(answer)), region: answer.region, isReplay: true)
        return true
    }

    // MARK: Token

    /// Reads the clock once per synchronous run, since a read at each step would be expensive.
    private func obtainToken(_ message: Message, now: NIODeadline) {
        switch message.skill.tokens.token(on: forwarder.eventLoop, now: now) {
        case .now(let result): tokenObtained(message, result, now: now)
        case .later(let future):
            forwarder.eventLoop.wait(for: future, atMost: tokenTimeout) {
                self.tokenObtained(message, $0, now: self.forwarder.eventLoop.now)
            }
        }
    }

    /// - Parameter result: nil when the wait took too long.
    private func tokenObtained(_ message: Message, _ result: TokenCache.Obtained?, now: NIODeadline) {
        switch result {
        case .success(let token):
            self.token = token
            obtainConnection(message, now: now)
        case .failure(let reason):
            refuseUnsent(
                Refusal(
                    .tokenUnavailable, "there is no access token for this skill: \(reason.callerDetail)",
                    retryAfterSeconds: reason.retryAfter.asRetryAfterSeconds))
        case nil:
            refuseUnsent(
                Refusal(.tokenUnavailable, "the token endpoint did not respond in time", retryAfterSeconds: 1))
        }
    }

    // MARK: Connection

    func obtainConnection(_ message: Message, now: NIODeadline) {
        askedForConnection = now
        guard now < deadline else { return refuseUnsent(UpstreamUnavailable.connectTimeout.refusal) }
        if let result = forwarder.pools[message.region].lease(for: self) {
            connectionObtained(message, result, now: now)
        }
    }

    func connectionObtained(
        _ message: Message, _ result: Result<any UpstreamConnection, UpstreamUnavailable>, now: NIODeadline
    ) {
        switch result {
        case .success(let connection):
            guard claimedAt == nil, let key = message.key else { return send(on: connection) }
            makeClaim(message, key, holding: connection, now: now)
        case .failure(let reason): refuseUnsent(reason.refusal)
        }
    }

    // MARK: Claim

    private func makeClaim(
        _ message: Message, _ key: IdempotencyKey, holding connection: any UpstreamConnection, now: NIODeadline
    ) {
        let claim = claim(message, key)
        switch forwarder.store.claim(claim, on: forwarder.eventLoop) {
        case .now(let reply): claimed(reply, at: now, holding: connection)
        case .later(let future):
            future.assumeIsolated().whenSuccess { self.claimed($0, at: now, holding: connection) }
        }
    }

    /// The same for every try of this request.
    private func claim(_ message: Message, _ key: IdempotencyKey) -> IdempotencyClaim {
        if let claim { return claim }
        let (fingerprint, others) = forwarder.hasher.fingerprints(
            key: key, user: message.user, content: request.content)
        let claim = IdempotencyClaim(
            scope: forwarder.hasher.scope(prefix: snapshot.scopePrefix(message.caller, message.skill), key: key),
            fingerprint: fingerprint,
            owner: forwarder.nextAttempt(),
            lease: snapshot.times.lease,
            retention: snapshot.times.retention,
            consent: message.consent,
            caller: message.caller.label,
            otherFingerprints: others
        )
        self.claim = claim
        return claim
    }

    private func claimed(_ reply: ClaimReply, at time: NIODeadline, holding connection: any UpstreamConnection) {
        forwarder.instruments.claimed(reply)
        deduplication = reply.store == forwarder.store.kind ? nil : .replica
        if reply.outcome == .owned {
            claimedAt = time
            return send(on: connection)
        }
        connection.giveBack()
        switch reply.outcome {
        case .owned: break
        case .accepted(let answer): finish(.upstream(UpstreamAnswer(answer)), region: answer.region, isReplay: true)
        case .inFlight(let leaseLeft): awaitConcurrent(leaseLeft: leaseLeft)
        case .unknown: finish(.refusal(.outcomeUnknownEarlier), isReplay: true)
        case .mismatched: finish(.refusal(.idempotencyKeyReused))
        case .indistinct: finish(.refusal(.idempotencyKeyIndistinct))
        case .storeFull: finish(.refusal(.storeFull))
        case .storeUnavailable: finish(.refusal(.storeUnavailable))
        }
    }

    /// Another request with the same key is being sent: its answer is this one's, too.
    private func awaitConcurrent(leaseLeft: Duration) {
        // No lease is longer than this, whatever a store's clock has been made to say.
        let patience = min(leaseLeft, Duration(snapshot.times.lease))
        let inUse = Refusal(
            .idempotencyKeyInUse, "another message with this idempotency key is in flight",
            retryAfterSeconds: patience.asRetryAfterSeconds)
        guard snapshot.configuration.concurrentDuplicates == .wait, let claim else { return finish(.refusal(inUse)) }
        switch forwarder.store.answerOfAttemptInFlight(claim, on: forwarder.eventLoop) {
        case .now(let answer): concurrentEnded(answer)
        case .later(let future):
            forwarder.eventLoop.wait(for: future, atMost: left) { answer in
                guard let answer else { return self.finish(.refusal(inUse)) }
                self.concurrentEnded(answer)
            }
        }
    }

    private func concurrentEnded(_ answer: Answer?) {
        // Claiming again says how it ended. A message may have come to wait for want of a token, so from the start.
        guard let answer else {
            if let message { obtainToken(message, now: forwarder.eventLoop.now) }
            return
        }
        finish(answer.content, region: answer.region, isReplay: true)
    }

    // MARK: Send

    private func send(on connection: any UpstreamConnection) {
        forwarder.sends.append(Send(forwarding: self, connection: connection))
    }

    /// A message that is sent at the end of its event loop's turn.
    struct Send {
        fileprivate var forwarding: Forwarding
        fileprivate var connection: any UpstreamConnection

        func perform() { forwarding.write(to: connection) }
    }

    private func write(to connection: any UpstreamConnection) {
        guard let message, let token else {
            connection.giveBack()
            return refuseUnsent(
                Refusal(.tokenUnavailable, "there is no access token for this skill", retryAfterSeconds: 1))
        }
        let now = forwarder.eventLoop.now
        if let heldUp = heldUp(now) {
            connection.giveBack()
            return refuseUnsent(heldUp)
        }
        // It may have waited for its connection until its token expired.
        guard token.expires > now else {
            connection.giveBack()
            return obtainToken(message, now: now)
        }
        forwarder.requests[message.region].serialize(
            user: message.user, token: token, content: request.content, into: &forwarder.requestBuffer)
        guard connection.send(forwarder.requestBuffer, deadline: deadline, receiver: self) else {
            // Not a byte was written, so another connection may carry it.
            forwarder.instruments.attempted(message.region, .connectionLost)
            return obtainConnection(message, now: now)
        }
        sentAt = now
        sends += 1
        let again: ForwardingInstruments.AttemptReason = message.wasTriedElsewhere ? .otherRegion : .tokenRenewed
        forwarder.instruments.attempted(message.region, sends == 1 ? .first : again)
    }

    /// Refuses to send past the send budget or the deadline: after a pause of the process, the lease of its record may have
    /// ended and another attempt may own the key.
    private func heldUp(_ now: NIODeadline) -> Refusal? {
        let isOverBudget =
            sends == 0
            && claimedAt.map { now - $0 > snapshot.times.sendBudget } == true
        guard isOverBudget || now >= deadline else { return nil }
        return Refusal(
            .sendBudgetExceeded, "the gateway exceeded its send budget or deadline before sending; nothing was sent",
            retryAfterSeconds: 1)
    }

    /// Amazon refused the token: once a message, a newer one is worth another try, since a 403 did not accept it.
    func sendAgain(after answer: UpstreamAnswer) {
        guard let message, let token else { return }
        guard !isTokenRenewed else {
            message.skill.tokens.refusedAgain(on: forwarder.eventLoop)
            return settle(.refused(status: answer.status), .upstream(answer))
        }
        firstRefusal = answer
        switch message.skill.tokens.renewed(refused: token.generation, on: forwarder.eventLoop) {
        case nil: settle(.refused(status: answer.status), .upstream(answer))
        case .now(let result): tokenRenewed(result, answer)
        case .later(let future):
            forwarder.eventLoop.wait(for: future, atMost: tokenTimeout) { self.tokenRenewed($0, answer) }
        }
    }

    private func tokenRenewed(_ result: TokenCache.Obtained?, _ answer: UpstreamAnswer) {
        let now = forwarder.eventLoop.now
        guard let message, case .success(let renewed) = result, renewed.generation != token?.generation, now < deadline
        else { return settle(.refused(status: answer.status), .upstream(answer)) }
        token = renewed
        isTokenRenewed = true
        message.startOver()
        obtainConnection(message, now: now)
    }

    // MARK: Settle, answer

    /// Nothing of this attempt was sent: the record, if there is one, is free again.
    private func refuseUnsent(_ refusal: Refusal) {
        if let firstRefusal { return settle(.refused(status: firstRefusal.status), .upstream(firstRefusal)) }
        guard claimedAt == nil else { return settle(.released, .refusal(refusal)) }
        guard let message, let key = message.key else { return finish(.refusal(refusal)) }
        // What cannot be sent now may have been accepted before, or be on its way; its retry is owed that answer.
        let claim = claim(message, key)
        switch forwarder.store.report(on: claim.scope, on: forwarder.eventLoop) {
        case .now(let report): refuse(refusal, unless: report, of: claim)
        case .later(let future):
            future.assumeIsolated().whenSuccess { self.refuse(refusal, unless: $0, of: claim) }
        }
    }

    private func refuse(_ refusal: Refusal, unless report: KeyReport?, of claim: IdempotencyClaim) {
        guard let report, let recorded = report.fingerprint, claim.difference(from: recorded) == nil else {
            return finish(.refusal(refusal))
        }
        switch report.state {
        case .accepted(let answer): finish(.upstream(UpstreamAnswer(answer)), region: answer.region, isReplay: true)
        case .inFlight(let left) where snapshot.configuration.concurrentDuplicates == .wait:
            awaitConcurrent(leaseLeft: left)
        case .inFlight, .unknown, .absent: finish(.refusal(refusal))
        }
    }

    /// The record first, then the caller: who is told 202 finds that answer again.
    func settle(_ settlement: Settlement, _ content: Answer.Content) {
        guard let claim, claimedAt != nil else { return finish(content) }
        let answer = Answer(content, region: message?.region)
        switch forwarder.store.settle(claim, settlement, answer: answer, on: forwarder.eventLoop) {
        case .now(let settled): finish(settled, settlement, content)
        case .later(let future): future.assumeIsolated().whenSuccess { self.finish($0, settlement, content) }
        }
    }

    private func finish(_ settled: SettlementReply, _ settlement: Settlement, _ content: Answer.Content) {
        if settled == .pending, case .accepted = settlement { deduplication = deduplication ?? .pending }
        finish(content)
    }

    private func finish(_ content: Answer.Content, region: Region? = nil, isReplay: Bool = false) {
        var answer = Answer(content, region: region ?? message?.region, isReplay: isReplay)
        answer.deduplication = deduplication
        let duration = forwarder.eventLoop.now - started
        labels.region = answer.region ?? labels.region
        forwarder.instruments.messageFinished(labels, answer, seconds: duration.inSeconds)
        forwarder.logs.access?.finished(labels, answer, from: peer, sends: sends, duration: duration)
        entered?.leave()
        if answer.status >= 300 { forwarder.report(answer) }
        recipient.answered(answer)
    }

    /// What is left of the message's deadline.
    private var left: Duration { Duration(from: forwarder.eventLoop.now, to: deadline) }

    private var tokenTimeout: Duration { min(left, snapshot.configuration.limits.tokenTimeout) }
}
