import NIOCore

/// How far a message is on its way, and what comes next. Pure: every answer and every time is passed in, and what is to be
/// done is returned, for `Forwarding` to do.
struct ForwardingState {
    /// What a message comes to: Amazon's response, or the gateway's own.
    typealias Outcome = Result<UpstreamResponse, Refusal>

    /// What is to be done. What the message comes to stands in `ending`, since a step is handed from one to the next.
    enum Step {
        case obtainToken
        /// Another than the one that was refused.
        case renewToken
        case leaseConnection
        case claim(any UpstreamConnection)
        case send(any UpstreamConnection)
        /// Tells the record, and then the caller.
        case settle
        /// Nothing was sent and nothing is claimed: an earlier attempt may still have an answer for this message.
        case consultRecord
        /// Another request with the same key is being sent: its answer is this one's, too.
        case awaitConcurrent(leaseLeft: Duration)
        case answer
    }

    /// What a message comes to.
    struct Ending {
        var outcome: Outcome
        /// For the record, where this attempt holds one.
        var settlement = Settlement.released
        var region: Region?
        /// What another attempt came to.
        var isReplay = false
    }

    /// What Amazon's response tells of the user or the token, for messages to come.
    enum Lesson {
        /// The user lives there, and the token is good.
        case accepted
        /// The user may have left the region where earlier messages found it.
        case doubtful(Region)
        /// No region knows the user.
        case gone
        /// It is not the token that is refused: a newer one was, too.
        case tokenRefusedAgain
    }

    /// What keeps a message from being written to the connection that it has.
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
    /// Once a message.
    private var isTokenRenewed = false
    /// The refusal that is passed on if the message cannot be sent once more, or elsewhere.
    private var firstRefusal: UpstreamResponse?
    private(set) var ending: Ending?
    /// Other replicas may not know what this one knows of the message.
    private(set) var deduplication: Response.Deduplication?

    init(_ search: RegionSearch, isKeyed: Bool) {
        self.search = search
        self.isKeyed = isKeyed
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

    mutating func leased(_ result: Result<any UpstreamConnection, UpstreamUnavailable>) -> Step {
        switch result {
        case .success(let connection): isKeyed && claimedAt == nil ? .claim(connection) : .send(connection)
        case .failure(let reason): unsent(reason.refusal)
        }
    }

    /// - Parameters:
    ///   - time: when the store was asked: its lease began then at the earliest.
    ///   - kind: the store that was asked; another may have stood in for it.
    mutating func claimed(
        _ reply: ClaimReply, at time: NIODeadline, from kind: StoreKind, holding connection: any UpstreamConnection
    ) -> Step {
        deduplication = reply.store == kind ? nil : .replica
        switch reply.outcome {
        case .owned:
            claimedAt = time
            return .send(connection)
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

    /// After a pause of the process, the lease of its record may have ended and another attempt may own the key.
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

    /// - Returns: why it was written, for metrics.
    mutating func sent() -> ForwardingInstruments.AttemptReason {
        sends += 1
        return sends == 1 ? .first : search.isElsewhere ? .otherRegion : .tokenRenewed
    }

    /// Amazon's response to it.
    ///
    /// - Parameter isTokenProven: Amazon has accepted a message with the token before.
    mutating func responded(
        _ answer: UpstreamResponse, strict5xx: Bool, isTokenProven: Bool
    ) -> (Step, Lesson?) {
        var lesson: Lesson?
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
                // Without another token, this is what the message comes to.
                firstRefusal = answer
                _ = settle(.refused(status: answer.status), .success(answer))
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

    private mutating func goesElsewhere(_ answer: UpstreamResponse, isTokenProven: Bool) -> Bool {
        guard search.refused(status: answer.status, isTokenProven: isTokenProven) else { return false }
        // If the next region cannot be reached, this is what the caller gets.
        firstRefusal = answer
        return true
    }

    /// Amazon refused the token: once a message, a newer one is worth another try, since a 403 did not accept it.
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

    /// No response came to what was sent.
    mutating func failed(_ failure: UpstreamFailure) -> Step { settle(.unknown, .failure(failure.refusal)) }

    // MARK: Settle

    /// This attempt was not sent: the record, if there is one, is free again.
    mutating func unsent(_ refusal: Refusal) -> Step {
        if let firstRefusal { return settle(.refused(status: firstRefusal.status), .success(firstRefusal)) }
        let isClaimedOrKeyless = claimedAt != nil || !isKeyed
        _ = settle(.released, .failure(refusal))
        return isClaimedOrKeyless ? .settle : .consultRecord
    }

    /// What cannot be sent now may have been accepted before, or be on its way; its retry is owed that answer.
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

    /// The attempt that was waited for is over.
    ///
    /// - Parameter result: nil when claiming again says how it ended. The message may have come to wait for want of a token,
    ///   so from the start.
    mutating func concurrentEnded(_ result: AttemptResult?) -> Step {
        guard let result else { return .obtainToken }
        let outcome = result.response.mapError { $0 as? Refusal ?? .outcomeUnknownEarlier }
        ending = Ending(outcome: outcome, region: result.region ?? search.region, isReplay: true)
        return .answer
    }

    /// It is not over, and is waited for no longer.
    mutating func concurrentInFlight(_ leaseLeft: Duration) -> Step {
        refused(.idempotencyKeyInUse(retryAfter: leaseLeft))
    }

    mutating func settled(_ reply: SettlementReply) -> Step {
        if reply == .pending, case .accepted = ending?.settlement { deduplication = deduplication ?? .pending }
        return .answer
    }

    /// Answers a duplicate as the first was answered.
    mutating func replay(_ answer: AcceptedResponse) -> Step {
        ending = Ending(outcome: .success(UpstreamResponse(answer)), region: answer.region, isReplay: true)
        return .answer
    }

    private mutating func settle(_ settlement: Settlement, _ outcome: Outcome) -> Step {
        ending = Ending(outcome: outcome, settlement: settlement, region: search.region)
        return .settle
    }

    private mutating func refused(_ refusal: Refusal) -> Step { end(.failure(refusal), isReplay: false) }

    private mutating func end(_ outcome: Outcome, isReplay: Bool) -> Step {
        ending = Ending(outcome: outcome, region: search.region, isReplay: isReplay)
        return .answer
    }
}
