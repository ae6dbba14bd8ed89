import NIOCore
import Testing

@testable import GatewayCore

/// What comes next on a message's way, whatever happens to it there.
struct ForwardingStateTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private var deadline: NIODeadline { start + .seconds(10) }
    private let budget = TimeAmount.seconds(1)

    private func token(_ generation: UInt64) -> AccessToken {
        AccessToken("t\(generation)", generation: generation, expires: start + .seconds(3600))
    }

    private func response(_ status: Int) -> UpstreamResponse { UpstreamResponse(status: status, requestID: .text("r")) }

    private func state(
        _ certainty: RegionCertainty = .stated, isKeyed: Bool = true, claimed: Bool = false, sent: Bool = false
    ) -> ForwardingState {
        var state = ForwardingState(
            RegionSearch(from: .europe, certainty, among: Set(Region.allCases)), isKeyed: isKeyed)
        _ = state.obtained(.success(token(1)))
        if claimed {
            _ = state.claimed(ClaimReply(.owned, .memory), at: start, from: .memory)
        }
        if sent { _ = state.sent() }
        return state
    }

    // MARK: Before it is sent

    @Test func `a connection is leased with a token, and a claim made with a connection`() {
        var state = state()
        guard case .leaseConnection = state.obtained(.success(token(1))) else { return unexpected() }
        guard case .claim = state.leased() else { return unexpected() }
        let owned = ClaimReply(.owned, .memory)
        guard case .send = state.claimed(owned, at: start, from: .memory) else {
            return unexpected()
        }
        #expect(state.claimedAt == start)
        guard case .send = state.leased() else { return unexpected("it is claimed once") }
    }

    @Test func `without a key nothing is claimed or looked up`() {
        var state = state(isKeyed: false)
        guard case .send = state.leased() else { return unexpected() }
        guard case .settle = state.obtained(nil) else { return unexpected() }
        #expect(problem(state) == .tokenUnavailable && state.ending?.region == .europe)
    }

    @Test func `what cannot be sent consults the record first`() {
        var state = state()
        guard case .consultRecord = state.notLeased(.noFreeConnection) else { return unexpected() }
        #expect(problem(state) == .tooManyInFlight)
    }

    @Test func `what is claimed and cannot be sent is released`() {
        var state = state(claimed: true)
        guard case .settle = state.met(.tooLate) else { return unexpected() }
        #expect(state.ending?.settlement == .released && problem(state) == .sendBudgetExceeded)
        guard case .obtainToken = state.met(.tokenExpired) else { return unexpected() }
    }

    @Test func `it is not written past its send budget, its deadline or its token's life`() {
        let state = state(claimed: true)
        func obstacle(_ state: ForwardingState, after time: TimeAmount) -> ForwardingState.Obstacle? {
            state.obstacle(now: start + time, deadline: deadline, sendBudget: budget)
        }
        #expect(obstacle(state, after: .seconds(1)) == nil)
        #expect(obstacle(state, after: .milliseconds(1001)) == .tooLate)
        let sent = self.state(claimed: true, sent: true)
        #expect(obstacle(sent, after: .seconds(9)) == nil, "the budget is for its first bytes")
        #expect(obstacle(sent, after: .seconds(10)) == .tooLate)
        var old = self.state(isKeyed: false)
        _ = old.obtained(.success(AccessToken("t", generation: 1, expires: start)))
        #expect(obstacle(old, after: .zero) == .tokenExpired)
    }

    @Test func `what another attempt has done is answered as the store says`() {
        let accepted = AcceptedResponse(status: 202, region: .farEast, requestID: nil)
        var state = state()
        func claimed(_ outcome: ClaimOutcome) -> ForwardingState.Step {
            state = self.state()
            return state.claimed(ClaimReply(outcome, .memory), at: start, from: .memory)
        }
        guard case .answer = claimed(.accepted(accepted)) else { return unexpected() }
        #expect(status(state) == 202 && state.ending?.region == .farEast && state.ending?.isReplay == true)
        guard case .awaitConcurrent(leaseLeft: .seconds(3)) = claimed(.inFlight(left: .seconds(3))) else {
            return unexpected()
        }
        let refusals: [(ClaimOutcome, Problem, Bool)] = [
            (.unknown, .outcomeUnknownEarlier, true), (.mismatched, .idempotencyKeyReused, false),
            (.indistinct, .idempotencyKeyIndistinct, false), (.storeFull, .storeFull, false),
            (.storeUnavailable, .storeUnavailable, false),
        ]
        for (outcome, expected, isReplay) in refusals {
            guard case .answer = claimed(outcome) else { return unexpected("\(outcome)") }
            #expect(problem(state) == expected && state.ending?.isReplay == isReplay)
            #expect(state.ending?.region == .europe)
        }
    }

    @Test func `a store that stands in for another is told to the caller`() {
        var state = state()
        _ = state.claimed(ClaimReply(.owned, .memory), at: start, from: .redis)
        #expect(state.deduplication == .replica)
        _ = state.responded(response(202), strict5xx: false, isTokenProven: false)
        _ = state.settled(.pending)
        #expect(state.deduplication == .replica, "the more serious of the two")
    }

    // MARK: After it was sent

    @Test func `a 202 settles the record with the region that accepted it`() {
        var state = state(claimed: true, sent: true)
        guard
            case (.settle, .accepted?) = state.responded(response(202), strict5xx: false, isTokenProven: false),
            case .accepted(let accepted) = state.ending?.settlement
        else { return unexpected() }
        #expect(accepted.region == .europe && accepted.status == 202 && status(state) == 202)
        guard case .answer = state.settled(.pending) else { return unexpected() }
        #expect(state.deduplication == .pending)
    }

    @Test(arguments: [(500, false, false), (500, true, true), (502, false, true), (504, false, true)])
    func `a 5xx is proof or doubt`(status: Int, strict5xx: Bool, isUnknown: Bool) {
        var state = state(claimed: true, sent: true)
        guard case (.settle, nil) = state.responded(response(status), strict5xx: strict5xx, isTokenProven: true) else {
            return unexpected()
        }
        switch state.ending?.outcome {
        case .failure(let refusal): #expect(isUnknown && refusal.receivedStatus == status)
        case .success(let passedOn): #expect(!isUnknown && passedOn.status == status)
        case nil: unexpected()
        }
        #expect(state.ending?.settlement == (isUnknown ? .unknown : .refused(status: status)))
    }

    @Test func `a refused token is renewed once`() {
        var state = state(claimed: true, sent: true)
        guard
            case (.renewToken, nil) = state.responded(response(403), strict5xx: false, isTokenProven: true)
        else { return unexpected() }
        #expect(state.token?.generation == 1)
        guard case .leaseConnection = state.renewed(.success(token(2)), isLate: false) else {
            return unexpected()
        }
        let reason = state.sent()
        #expect(reason == .tokenRenewed && state.token?.generation == 2)
        guard
            case (.settle, .tokenRefusedAgain?) = state.responded(
                response(403), strict5xx: false, isTokenProven: true)
        else { return unexpected() }
        #expect(state.ending?.settlement == .refused(status: 403) && status(state) == 403)
    }

    @Test func `a 429 that others brought about is waited out, and is the answer if the message is not sent again`() {
        var state = state(claimed: true, sent: true)
        let (step, lesson) = state.responded(response(429), strict5xx: false, isTokenProven: true, quota: .sendAgain)
        guard case .awaitQuota(.sendAgain) = step, lesson == nil else { return unexpected() }
        guard case .leaseConnection = state.sendsAgain() else { return unexpected() }
        let reason = state.sent()
        #expect(reason == .throttled)
        guard case .settle = state.unsent(Refusal(.circuitOpen, "x")) else { return unexpected() }
        guard case .success(let answer)? = state.ending?.outcome else { return unexpected() }
        #expect(answer.status == 429)
        guard case .refused(429)? = state.ending?.settlement else { return unexpected() }
        _ = state.responded(response(202), strict5xx: false, isTokenProven: true)
        guard case .accepted? = state.ending?.settlement else { return unexpected() }
        guard case .success(let last)? = state.ending?.outcome else { return unexpected() }
        #expect(last.status == 202)
    }

    @Test func `without a newer token in time the refusal is passed on`() {
        let first = response(403)
        let unavailable = TokenUnavailable(retryAfter: .seconds(1), failure: nil)
        for (result, isLate) in [
            (TokenCache.Obtained.success(token(1)), false), (.success(token(2)), true), (.failure(unavailable), false),
            (nil, false),
        ] as [(TokenCache.Obtained?, Bool)] {
            var state = state(claimed: true, sent: true)
            _ = state.responded(first, strict5xx: false, isTokenProven: true)
            guard case .settle = state.renewed(result, isLate: isLate) else {
                return unexpected("\(String(describing: result))")
            }
            #expect(state.ending?.settlement == .refused(status: 403) && status(state) == 403)
        }
    }

    @Test(arguments: [403, 404])
    func `once refused, it ends with that refusal if it cannot be sent again, unless the user may live elsewhere`(
        status refused: Int
    ) {
        var state = state(.guessed, claimed: true, sent: true)
        guard case (.leaseConnection, nil) = state.responded(response(refused), strict5xx: false, isTokenProven: true)
        else {
            return unexpected()
        }
        #expect(state.search.region == .northAmerica)
        guard case .settle = state.notLeased(.connectionRefused) else { return unexpected() }
        if refused == 403 {
            #expect(state.ending?.settlement == .refused(status: 403) && status(state) == 403)
            #expect(state.ending?.region == .europe)
        } else {
            #expect(state.ending?.settlement == .released && state.ending?.region == .northAmerica)
        }
    }

    @Test func `a 404 where the user was found before casts doubt on that region`() {
        var state = state(.learned, claimed: true, sent: true)
        guard
            case (.leaseConnection, .doubtful(.europe)?) = state.responded(
                response(404), strict5xx: false, isTokenProven: true)
        else { return unexpected() }
        _ = state.sent()
        _ = state.responded(response(404), strict5xx: false, isTokenProven: true)
        guard
            case (.settle, .gone?) = state.responded(response(404), strict5xx: false, isTokenProven: true)
        else { return unexpected() }
        #expect(state.ending?.settlement == .refused(status: 404))
    }

    // MARK: Records of other attempts

    @Test func `a record of the same message decides, and no other does`() {
        var state = state()
        let fingerprint = RequestFingerprint(words: (1, 2))
        let claim = IdempotencyClaim(
            scope: IdempotencyScope(words: (1, 2, 3, 4)), fingerprint: fingerprint,
            owner: AttemptID(origin: 1, number: 1), lease: .seconds(15), retention: .hours(1), consent: false)
        func consulted(_ report: KeyReport?, waits: Bool = true) -> ForwardingState.Step {
            state = self.state()
            guard case .consultRecord = state.obtained(nil) else { return .obtainToken }
            return state.consulted(report, of: claim, waits: waits)
        }
        let accepted = KeyReport.State.accepted(AcceptedResponse(status: 202, region: .farEast, requestID: nil))
        guard case .answer = consulted(KeyReport(accepted, fingerprint)) else { return unexpected() }
        #expect(status(state) == 202 && state.ending?.region == .farEast && state.ending?.isReplay == true)
        let inFlight = KeyReport(.inFlight(left: .seconds(2)), fingerprint)
        guard case .awaitConcurrent = consulted(inFlight) else { return unexpected() }
        let others: [(KeyReport?, Bool)] = [
            (nil, true), (inFlight, false), (KeyReport(.absent), true), (KeyReport(.unknown, fingerprint), true),
            (KeyReport(accepted, RequestFingerprint(words: (1, 3))), true),
        ]
        for (report, waits) in others {
            guard case .answer = consulted(report, waits: waits) else {
                return unexpected("\(String(describing: report))")
            }
            #expect(problem(state) == .tokenUnavailable && state.ending?.isReplay == false)
        }
    }

    @Test func `what the region has done nothing with is sent once more, and then released`() {
        var state = state(claimed: true)
        #expect(state.sent() == .first)
        guard case .leaseConnection = state.failed(.notProcessed) else { return unexpected() }
        #expect(state.sent() == .notProcessed && state.ending == nil)
        guard case .settle = state.failed(.notProcessed) else { return unexpected() }
        #expect(problem(state) == .upstreamConnectionLost)
        if case .released? = state.ending?.settlement {} else { unexpected("nothing was done with it") }
    }

    @Test func `what was sent once more, and then lost, is in doubt`() {
        var state = state()
        _ = state.failed(.notProcessed)
        guard case .settle = state.failed(.connectionLost) else { return unexpected() }
        #expect(problem(state) == .outcomeUnknownConnectionLost)
    }

    @Test func `an attempt that ended without an answer is claimed again, from the token on`() {
        var state = state()
        guard case .obtainToken = state.concurrentEnded(nil) else { return unexpected() }
    }

    @Test(arguments: [(202, true), (429, false)])
    func `a duplicate says of an acceptance that the store has not confirmed it`(answer: Int, isPending: Bool) {
        var state = state()
        let result = AttemptResult(.success(UpstreamResponse(status: answer)), region: nil)
        guard case .answer = state.concurrentEnded(result.settled(.pending)) else { return unexpected() }
        #expect(status(state) == answer && (state.deduplication == .pending) == isPending)
    }

    @Test func `a duplicate of an attempt whose region is not known has that of its own message`() throws {
        var state = state()
        let result = AttemptResult(.success(UpstreamResponse(status: 429)), region: nil)
        guard case .answer = state.concurrentEnded(result) else { return unexpected() }
        #expect(status(state) == 429 && state.ending?.isReplay == true && state.ending?.region == .europe)
    }

    private func problem(_ state: ForwardingState) -> Problem? {
        guard case .failure(let refusal) = state.ending?.outcome else { return nil }
        return refusal.problem
    }

    private func status(_ state: ForwardingState) -> Int? { try? state.ending?.outcome.get().status }

    private func unexpected(_ what: String = "", at location: SourceLocation = #_sourceLocation) {
        Issue.record("unexpected step \(what)", sourceLocation: location)
    }
}
