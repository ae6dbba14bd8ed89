import NIOCore

/// The state of one message being forwarded, and its next step. Pure: results and times are passed in, and the next step is
/// returned, for `Forwarding` to perform.
struct ForwardingState {
    /// The outcome of a message: Amazon's response, or the gateway's refusal.
    typealias Outcome = Result<UpstreamResponse, Refusal>

    /// The next thing to do. The outcome is in `ending` and not in a step, since copying it with each step is expensive.
    enum Step {
        case obtainToken
        /// Obtain a newer token than the refused one.
        case renewToken
        case leaseConnection
        /// Wait until it is known who has drawn the 429, or to send the message again.
        case awaitQuota(SkillQuota.Verdict)
        /// With a connection, as the next.
        case claim
        case send
        /// Settle the record, then answer the caller.
        case settle
        /// Nothing was sent or claimed, but an earlier attempt may have a response for this message.
        case consultRecord
        /// Another request with the same key is in flight: wait for its response and return the same.
        case awaitConcurrent(leaseLeft: Duration)
        case answer
    }

    /// The outcome and what goes with it.
    struct Ending {
        var outcome: Outcome
        /// For the record, where this attempt holds one.
        var settlement = Settlement.released
        var region: Region?
        /// The outcome is that of another attempt.
        var isReplay = false
        /// Who says so, where it is not Amazon.
        var witness: AcceptedResponse.Witness?
    }

    /// What later messages can learn from Amazon's response about the user or the token.
    enum Lesson {
        /// The user lives in the region, and the token is valid.
        case accepted
        /// The user may have left the region where earlier messages found it.
        case doubtful(Region)
        /// No region knows the user.
        case gone
        /// A newer token was refused, too, so the token is not the cause.
        case tokenRefusedAgain
    }

    /// Why a message cannot be written to its connection.
    enum Obstacle {
        /// Past the send budget or the deadline.
        case tooLate
        case tokenExpired
    }

    private(set) var search: RegionSearch
    private let isKeyed: Bool
    private(set) var token: AccessToken?
    private(set) var claimedAt: NIODeadline?
    /// Times it was written to a socket.
    private(set) var sends = 0
    /// The region has said once that it had done nothing with the message.
    private var wasNotProcessed = false
    /// Why it is written once more, where nothing else shows it.
    private var resendReason: ForwardingInstruments.AttemptReason?
    /// The token is renewed at most once per message.
    private var isTokenRenewed = false
    /// The refusal that is passed on if the message cannot be sent once more, or elsewhere.
    private var firstRefusal: (answer: UpstreamResponse, region: Region)?
    private(set) var ending: Ending?
    /// Set if the shared store may lack this message's record; returned to the caller.
    private(set) var deduplication: Response.Deduplication?

    init(_ search: RegionSearch, isKeyed: Bool) {
        self.search = search
        self.isKeyed = isKeyed
    }

    /// The end, once: it is moved, since a copy of it is expensive.
    mutating func takeEnding() -> Ending? { ending.take() }

    /// What the record is told, and those who wait for the outcome; nil before the end.
    var settlement: (Settlement, result: AttemptResult)? {
        guard let settlement = ending?.settlement, let outcome = ending?.outcome else { return nil }
        if case .accepted(let answer) = settlement, answer.witness != nil { return (settlement, AttemptResult(answer)) }
        let region = ending?.region
        return switch outcome {
        case .success(let answer): (settlement, AttemptResult(.success(answer), region: region))
        case .failure(let refusal): (settlement, AttemptResult(.failure(refusal), region: region))
        }
    }

    // MARK: Token, connection, claim

    /// - Parameter result: nil when the wait took too long.
    mutating func obtained(_ result: TokenCache.Obtained?) -> Step {
        switch result {
        case .success(let token):
            self.token = token
            return .leaseConnection
        case .failure(let reason):
            return unsent(
                Refusal(
                    .tokenUnavailable, "there is no access token for this skill: \(reason.callerDetail)",
                    retryAfterSeconds: reason.retryAfter.asRetryAfterSeconds))
        case nil:
            return unsent(
                Refusal(.tokenUnavailable, "the token endpoint did not respond in time", retryAfterSeconds: 1))
        }
    }

    func leased() -> Step { isKeyed && claimedAt == nil ? .claim : .send }

    mutating func notLeased(_ reason: UpstreamUnavailable) -> Step { unsent(reason.refusal) }

    /// - Parameters:
    ///   - time: when the store was asked; the lease began no earlier.
    ///   - kind: the store that was asked; the reply may come from its fallback.
    mutating func claimed(_ reply: ClaimReply, at time: NIODeadline, from kind: StoreKind) -> Step {
        deduplication = reply.store == kind ? nil : .replica
        switch reply.outcome {
        case .owned:
            claimedAt = time
            return .send
        case .accepted(let answer): return replay(answer)
        case .inFlight(let left): return .awaitConcurrent(leaseLeft: left)
        case .unknown: return end(.failure(.outcomeUnknownEarlier), isReplay: true)
        case .mismatched: return refused(.idempotencyKeyReused)
        case .indistinct: return refused(.idempotencyKeyIndistinct)
        case .storeFull: return refused(.storeFull)
        case .storeUnavailable: return refused(.storeUnavailable)
        }
    }

    // MARK: Send

    /// Why not to send now; nil if nothing prevents it. After a pause of the process, the record's lease may have
    /// ended and the key may belong to another attempt.
    func obstacle(now: NIODeadline, deadline: NIODeadline, sendBudget: TimeAmount) -> Obstacle? {
        let isOverBudget = sends == 0 && claimedAt.map { now - $0 > sendBudget } == true
        if isOverBudget || now >= deadline { return .tooLate }
        guard let token, token.expires > now else { return .tokenExpired }
        return nil
    }

    mutating func met(_ obstacle: Obstacle) -> Step {
        switch obstacle {
        case .tooLate:
            unsent(
                Refusal(
                    .sendBudgetExceeded,
                    "the gateway exceeded its send budget or deadline before sending; nothing was sent",
                    retryAfterSeconds: 1))
        case .tokenExpired: .obtainToken
        }
    }

    /// - Returns: the reason for this attempt, for metrics.
    mutating func sent() -> ForwardingInstruments.AttemptReason {
        sends += 1
        defer { resendReason = nil }
        if let resendReason { return resendReason }
        return sends == 1 ? .first : search.isElsewhere ? .otherRegion : .tokenRenewed
    }

    /// Amazon's response to it.
    ///
    /// - Parameters:
    ///   - isTokenProven: Amazon has accepted a message with the token before.
    ///   - quota: what becomes of a message that was answered 429.
    mutating func responded(
        _ answer: UpstreamResponse, strict5xx: Bool, isTokenProven: Bool, quota: SkillQuota.Verdict = .forward
    ) -> (Step, Lesson?) {
        var lesson: Lesson?
        if quota != .forward {
            // The outcome if it is not sent again.
            firstRefusal = (answer, search.region)
            conclude(.refused(status: answer.status), .success(answer))
            return (.awaitQuota(quota), nil)
        }
        switch ResponseDisposition(status: answer.status, strict5xx: strict5xx) {
        case .accepted:
            let accepted = AcceptedResponse(status: answer.status, region: search.region, requestID: answer.requestID)
            return (settle(.accepted(accepted), .success(answer)), .accepted)
        case .refused:
            let isDoubtful = answer.status == 404 && search.certainty == .learned && !search.isElsewhere
            if isDoubtful { lesson = .doubtful(search.region) }
            if goesElsewhere(answer, isTokenProven: isTokenProven) { return (.leaseConnection, lesson) }
            if search.isUnknownEverywhere { lesson = .gone }
        case .tokenRefused:
            if goesElsewhere(answer, isTokenProven: isTokenProven) { return (.leaseConnection, nil) }
            if !isTokenRenewed {
                // The outcome if there is no newer token.
                firstRefusal = (answer, search.region)
                conclude(.refused(status: answer.status), .success(answer))
                return (.renewToken, nil)
            }
            lesson = .tokenRefusedAgain
        case .unknown:
            var refusal = Refusal(
                .outcomeUnknownGatewayAnswer,
                "status \(answer.status) does not show whether the API accepted the message")
            refusal.receivedStatus = answer.status
            return (settle(.unknown, .failure(refusal)), nil)
        }
        return (settle(.refused(status: answer.status), .success(answer)), lesson)
    }

    /// What the record is to say of an answer that came after the message had been given up; nil if that stays as it is.
    func respondedLate(_ answer: UpstreamResponse) -> AcceptedResponse? {
        guard case .accepted = ResponseDisposition(status: answer.status, strict5xx: true) else { return nil }
        return AcceptedResponse(status: answer.status, region: search.region, requestID: answer.requestID)
    }

    private mutating func goesElsewhere(_ answer: UpstreamResponse, isTokenProven: Bool) -> Bool {
        let region = search.region
        guard search.refused(status: answer.status, isTokenProven: isTokenProven) else { return false }
        // The outcome if the next region cannot be reached.
        firstRefusal = (answer, region)
        return true
    }

    /// Other callers have drawn the 429 that the message was answered: it proves that the message was not accepted.
    mutating func sendsAgain() -> Step {
        resendReason = .throttled
        return .leaseConnection
    }

    /// Continues after a renewal: at most once per message, a message refused with 403 is sent again with a newer token. A
    /// 403 proves that it was not accepted.
    ///
    /// - Parameters:
    ///   - result: nil when there is no newer token, or the wait took too long.
    ///   - isLate: the message's deadline has passed.
    mutating func renewed(_ result: TokenCache.Obtained?, isLate: Bool) -> Step {
        guard case .success(let renewed) = result, renewed.generation != token?.generation, !isLate else {
            return .settle
        }
        token = renewed
        isTokenRenewed = true
        search.startOver()
        return .leaseConnection
    }

    /// The message was sent, and no response came.
    mutating func failed(_ failure: UpstreamFailure) -> Step {
        guard failure == .notProcessed else { return settle(.unknown, .failure(failure.refusal)) }
        // As if it had not been sent. Whoever does nothing with it twice may do so for long.
        guard !wasNotProcessed else { return unsent(failure.refusal) }
        wasNotProcessed = true
        resendReason = .notProcessed
        return .leaseConnection
    }

    /// The skill has received the message before Amazon's answer came.
    ///
    /// - Parameter answer: as the receipt proves it. The record may be in a store that the receipt has not reached.
    mutating func received(_ answer: AcceptedResponse) -> Step {
        _ = known(answer)
        ending?.settlement = .accepted(answer)
        return .settle
    }

    // MARK: Settle

    /// This attempt ends without another send. Its record, if it holds one, is released or settled with the first refusal.
    mutating func unsent(_ refusal: Refusal) -> Step {
        var refusal = refusal
        if let (answer, region) = firstRefusal {
            guard answer.status == 404 else {
                conclude(.refused(status: answer.status), .success(answer), in: region)
                return .settle
            }
            // The user may live in the region that cannot be asked.
            refusal.detail =
                "\(region.name) does not know the user, and \(search.region.name) cannot be asked: \(refusal.detail)"
        }
        conclude(.released, .failure(refusal))
        return isKeyed && claimedAt == nil ? .consultRecord : .settle
    }

    /// A message that cannot be sent now may have been accepted before, or be in flight; its retry gets that response.
    ///
    /// - Parameters:
    ///   - report: nil when the store cannot be reached.
    ///   - waits: duplicates of a message in flight wait for its answer.
    mutating func consulted(_ report: KeyReport?, of claim: IdempotencyClaim, waits: Bool) -> Step {
        guard let report, let recorded = report.fingerprint, claim.difference(from: recorded) == nil else {
            return .answer
        }
        switch report.state {
        case .accepted(let answer): return replay(answer)
        case .inFlight(let left) where waits: return .awaitConcurrent(leaseLeft: left)
        case .inFlight, .unknown, .absent: return .answer
        }
    }

    /// The concurrent attempt has ended.
    ///
    /// - Parameter result: nil if only another claim shows how it ended. The message may have waited without a token, so it
    ///   starts over.
    mutating func concurrentEnded(_ result: AttemptResult?) -> Step {
        guard let result else { return .obtainToken }
        let outcome = result.response.mapError { $0 as? Refusal ?? .outcomeUnknownEarlier }
        ending = Ending(
            outcome: outcome, region: result.witness == nil ? result.region ?? search.region : nil, isReplay: true,
            witness: result.witness)
        if result.isPending { deduplication = deduplication ?? .pending }
        return .answer
    }

    /// The concurrent attempt is still in flight, and this message stops waiting for it.
    mutating func concurrentInFlight(_ leaseLeft: Duration) -> Step {
        refused(.idempotencyKeyInUse(retryAfter: leaseLeft))
    }

    mutating func settled(_ reply: SettlementReply) -> Step {
        switch reply {
        case .confirmed: break
        case .accepted(let answer): return known(answer)
        case .pending: if case .accepted = ending?.settlement { deduplication = deduplication ?? .pending }
        }
        return .answer
    }

    /// The message has been accepted, though no answer of Amazon's to this attempt says so.
    private mutating func known(_ answer: AcceptedResponse) -> Step {
        let step = replay(answer)
        // By its receipt it is this very request's own outcome.
        ending?.isReplay = answer.witness == nil
        return step
    }

    /// Answers a duplicate with the first response.
    mutating func replay(_ answer: AcceptedResponse) -> Step {
        ending = Ending(
            outcome: .success(UpstreamResponse(answer)), region: answer.region, isReplay: true, witness: answer.witness)
        return .answer
    }

    private mutating func settle(_ settlement: Settlement, _ outcome: Outcome) -> Step {
        conclude(settlement, outcome)
        return .settle
    }

    /// - Parameter region: whose the outcome is; nil: that where the message is now.
    private mutating func conclude(_ settlement: Settlement, _ outcome: Outcome, in region: Region? = nil) {
        ending = Ending(outcome: outcome, settlement: settlement, region: region ?? search.region)
    }

    private mutating func refused(_ refusal: Refusal) -> Step { end(.failure(refusal), isReplay: false) }

    private mutating func end(_ outcome: Outcome, isReplay: Bool) -> Step {
        ending = Ending(outcome: outcome, region: search.region, isReplay: isReplay)
        return .answer
    }
}
