package import NIOCore

/// What is kept of an accepted message: enough to answer every later duplicate as the first was answered.
package struct AcceptedResponse: Equatable, Sendable {
    package var status: Int
    /// Nil where Amazon's answer is not known: a receipt or the caller alone says that it was accepted.
    package var region: Region?
    package var requestID: RequestID?
    /// When the skill reported first that it had received the message; Unix time in milliseconds. Nil: it has not.
    package var receivedAt: Int64?

    package init(status: Int, region: Region?, requestID: RequestID?, receivedAt: Int64? = nil) {
        self.status = status
        self.region = region
        self.requestID = requestID
        self.receivedAt = receivedAt
    }

    /// The same, of a message that was received then.
    func received(at receivedAt: Int64?) -> Self {
        var answer = self
        answer.receivedAt = receivedAt
        return answer
    }
}

extension UpstreamResponse {
    /// The answer of the first, for a duplicate: Amazon's 202 has no content.
    package init(_ accepted: AcceptedResponse) {
        self.init(status: accepted.status, requestID: accepted.requestID)
    }
}

/// Names one attempt at sending, unique over all replicas: who holds a record.
package struct AttemptID: Hashable, Sendable {
    /// Random for each process and event loop.
    package var origin: UInt64
    /// Counts up.
    package var number: UInt64

    package init(origin: UInt64, number: UInt64) {
        self.origin = origin
        self.number = number
    }
}

/// A wish to send one message, made before any byte of it leaves.
package struct IdempotencyClaim: Equatable, Sendable {
    package var scope: IdempotencyScope
    package var fingerprint: RequestFingerprint
    package var owner: AttemptID
    /// For how long a duplicate is told that the first is in flight; after it, that its outcome is in doubt.
    package var lease: TimeAmount
    /// How long the record lives.
    package var retention: TimeAmount
    /// The caller accepts a possible double (`Idempotency-Resend: ?1`, or `unknownOutcome: resend`).
    package var consent: Bool
    /// The same with keys that were used before, or will be: a record that was made with one of them is recognised.
    package var otherFingerprints: [RequestFingerprint]
    /// Whose share of a store the record counts in: the caller's label.
    package var caller: Int
    /// The record lives shorter than others: it is kept apart, so that it does not wait for those that were made before it.
    package var isBrief: Bool

    package init(
        scope: IdempotencyScope, fingerprint: RequestFingerprint, owner: AttemptID, lease: TimeAmount,
        retention: TimeAmount, consent: Bool, caller: Int = 0, otherFingerprints: [RequestFingerprint] = [],
        isBrief: Bool = false
    ) {
        self.isBrief = isBrief
        self.otherFingerprints = otherFingerprints
        self.scope = scope
        self.fingerprint = fingerprint
        self.owner = owner
        self.lease = lease
        self.retention = retention
        self.consent = consent
        self.caller = caller
    }
}

extension IdempotencyClaim {
    /// Why a record of this fingerprint is not one of the same message; nil if it is.
    package func difference(from recorded: RequestFingerprint) -> ClaimOutcome? {
        if recorded == fingerprint || otherFingerprints.contains(recorded) { return nil }
        let isKnown = recorded.key == fingerprint.key || otherFingerprints.contains { $0.key == recorded.key }
        return isKnown ? .mismatched : .indistinct
    }
}

/// What a claim found.
package enum ClaimOutcome: Equatable, Sendable {
    /// The record is held by the claim's owner, who alone may send now.
    case owned
    /// Another attempt is sending; `left` of its lease remains.
    case inFlight(left: Duration)
    case accepted(AcceptedResponse)
    /// An attempt was made and what became of it is not known. Not to be sent without consent.
    case unknown
    /// The key belongs to another message.
    case mismatched
    /// Whether it does cannot be told: the record was made with a fingerprint key that is not known here.
    case indistinct
    /// No room for another record, and the configuration says not to make any.
    case storeFull
    /// The store was not reached, or not in time. Nothing is to be sent.
    case storeUnavailable
}

/// What has become of an idempotency key, seen without claiming it.
package struct KeyReport: Equatable, Sendable {
    package enum State: Equatable, Sendable {
        case absent
        /// An attempt is sending; `left` of its lease remains.
        case inFlight(left: Duration)
        case accepted(AcceptedResponse)
        case unknown
    }

    package var state: State
    /// Of the message the key belongs to; nil for an absent key.
    package var fingerprint: RequestFingerprint?
    /// Of an unknown outcome: what the last attempt that was made with consent was answered.
    package var refusedResend: Int?
    /// Until the record expires; nil for an absent key.
    package var remaining: Duration?

    package init(
        _ state: State, _ fingerprint: RequestFingerprint? = nil, refusedResend: Int? = nil,
        remaining: Duration? = nil
    ) {
        self.refusedResend = refusedResend
        self.remaining = remaining
        self.state = state
        self.fingerprint = fingerprint
    }
}

/// What became of an attempt.
package enum Settlement: Equatable, Sendable {
    case accepted(AcceptedResponse)
    case unknown
    /// Nothing was sent: a retry may be.
    case released
    /// Sent, and proven not accepted by an answer of this status: a retry may be sent.
    case refused(status: Int)
}

/// The record of one idempotency key, and all the rules of what may happen to it.
///
/// It is *held*, never taken over: a lease that has run out makes the outcome doubtful, not free, because its owner may
/// only be paused and may have sent, or be about to. So no interleaving of attempts, crashes and pauses can send twice.
package struct IdempotencyRecord: Equatable, Sendable {
    package enum State: Equatable, Sendable {
        /// Can transition to: accepted, unknown, absent (a resend: unknown instead); with consent to sending by another
        /// owner once the lease has ended.
        ///
        /// `isResend`: with consent, after an attempt whose outcome is unknown. That doubt outlives this attempt.
        case sending(owner: AttemptID, leaseEnds: NIODeadline, isResend: Bool = false)
        /// Can transition to: accepted; with consent to sending.
        case unknown
        /// Final until the retention ends.
        case accepted(AcceptedResponse)
    }

    package var fingerprint: RequestFingerprint
    package var state: State
    package var expires: NIODeadline

    package init(fingerprint: RequestFingerprint, state: State, expires: NIODeadline) {
        self.fingerprint = fingerprint
        self.state = state
        self.expires = expires
    }

    /// Whether it keeps others from sending without saying that the message was accepted.
    var isHeld: Bool {
        if case .accepted = state { false } else { true }
    }

    /// What a claim brings about.
    enum ClaimStep {
        /// The record stays as it is.
        case reply(ClaimOutcome)
        /// The record becomes this one, which the claim's owner holds.
        case hold(IdempotencyRecord)
    }

    /// What a settlement brings about.
    enum SettlementStep {
        case nothing
        case becomes(IdempotencyRecord)
        case removed
    }

    /// What `claim` makes of `record`; nil stands for absent.
    static func step(by claim: IdempotencyClaim, on record: IdempotencyRecord?, now: NIODeadline) -> ClaimStep {
        func held(isResend: Bool) -> ClaimStep {
            .hold(
                IdempotencyRecord(
                    fingerprint: claim.fingerprint,
                    state: .sending(owner: claim.owner, leaseEnds: now + claim.lease, isResend: isResend),
                    expires: now + claim.retention))
        }
        guard let record, record.expires > now else { return held(isResend: false) }
        if let difference = claim.difference(from: record.fingerprint) { return .reply(difference) }
        switch record.state {
        case .accepted(let answer):
            return .reply(.accepted(answer))
        case .sending(claim.owner, _, _):
            return .reply(.owned)  // the reply to its first claim was lost
        case .sending(_, let leaseEnds, _) where leaseEnds > now:
            return .reply(.inFlight(left: Duration(from: now, to: leaseEnds)))
        case .sending, .unknown:
            return claim.consent ? held(isResend: true) : .reply(.unknown)
        }
    }

    /// What becomes of `record` by what became of the attempt that made `claim`; nil stands for absent.
    ///
    /// - Returns: `found`: the answer that the message is known to have got, if this attempt did not find that out: by a receipt, or by
    ///   another attempt. Nil after an answer of Amazon's, which stands.
    static func step(
        by claim: IdempotencyClaim, _ settlement: Settlement, on record: IdempotencyRecord?, now: NIODeadline
    ) -> (step: SettlementStep, found: AcceptedResponse?) {
        guard let record, record.expires > now else {
            guard case .accepted(let answer) = settlement else { return (record == nil ? .nothing : .removed, nil) }
            return (.becomes(accepted(answer, claim, until: now + claim.retention)), nil)
        }
        // Whoever holds a record may have found it under another key.
        var isOwner = false
        var isResend = false
        if case .sending(claim.owner, _, let resend) = record.state { (isOwner, isResend) = (true, resend) }
        guard isOwner || record.fingerprint == claim.fingerprint else { return (.nothing, nil) }
        switch (settlement, record.state) {
        // From any attempt, however late: what was accepted must never be sent again.
        case (.accepted(let answer), .accepted(let known)):
            guard known.witness != nil else { return (.nothing, nil) }
            let answer = answer.received(at: known.receivedAt ?? answer.receivedAt)
            return (answer == known ? .nothing : .becomes(record.with(.accepted(answer))), nil)
        case (.accepted(let answer), .sending), (.accepted(let answer), .unknown):
            // A late one may find the record of a later attempt, which lives as long as that says.
            let expires = max(now + claim.retention, record.expires)
            return (.becomes(accepted(answer, claim, until: expires)), nil)
        case (.unknown, .accepted(let known)), (.released, .accepted(let known)): return (.nothing, known)
        case (.refused, .accepted): return (.nothing, nil)
        case (.unknown, _): return (isOwner ? .becomes(record.with(.unknown)) : .nothing, nil)
        case (.released, _), (.refused, _):
            guard isOwner else { return (.nothing, nil) }
            return (isResend ? .becomes(record.with(.unknown)) : .removed, nil)
        }
    }

    private static func accepted(
        _ answer: AcceptedResponse, _ claim: IdempotencyClaim, until expires: NIODeadline
    ) -> IdempotencyRecord {
        IdempotencyRecord(fingerprint: claim.fingerprint, state: .accepted(answer), expires: expires)
    }

    private func with(_ state: State) -> IdempotencyRecord {
        IdempotencyRecord(fingerprint: fingerprint, state: state, expires: expires)
    }

    /// Applies `claim` to `record`; nil stands for absent.
    package static func claim(
        _ claim: IdempotencyClaim, on record: inout IdempotencyRecord?, now: NIODeadline
    ) -> ClaimOutcome {
        switch step(by: claim, on: record, now: now) {
        case .reply(let outcome): return outcome
        case .hold(let held):
            record = held
            return .owned
        }
    }

    /// Applies what became of the attempt that made `claim`.
    ///
    /// - Returns: as `found` of `step`.
    @discardableResult
    package static func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement, on record: inout IdempotencyRecord?, now: NIODeadline
    ) -> AcceptedResponse? {
        let (step, found) = step(by: claim, settlement, on: record, now: now)
        switch step {
        case .nothing: break
        case .becomes(let next): record = next
        case .removed: record = nil
        }
        return found
    }

    /// What `record` says to somebody who only asks; nil stands for absent.
    package static func report(on record: IdempotencyRecord?, now: NIODeadline) -> KeyReport {
        guard let record, record.expires > now else { return KeyReport(.absent) }
        let state: KeyReport.State =
            switch record.state {
            case .accepted(let answer): .accepted(answer)
            case .sending(_, let leaseEnds, _) where leaseEnds > now:
                .inFlight(left: Duration(from: now, to: leaseEnds))
            case .sending, .unknown: .unknown
            }
        return KeyReport(state, record.fingerprint, remaining: Duration(from: now, to: record.expires))
    }
}
