import NIOCore

/// What a message being forwarded asks of what the messages of its event loop share.
///
/// Methods, and not paths through the forwarder: reading a reference that another object holds counts it up and down again, and
/// an object's call of what it holds itself does not. Of a message's CPU, counting references is an eighth.
extension MessageForwarder {
    var now: NIODeadline { eventLoop.now }

    func token(of skill: Skill, now: NIODeadline) -> Eventual<TokenCache.Obtained> {
        skill.tokens.token(on: eventLoop, now: now)
    }

    /// What an operator has paused of a message; `region`: where it would go now.
    func paused(_ caller: Caller, _ skill: Skill, _ region: Region) -> Pauses.Subject? {
        pauses.subject(of: caller, skill, to: region)
    }

    func paused(_ caller: Caller, _ skill: Skill) -> Pauses.Subject? { pauses.subject(of: caller, skill) }

    func lease(in region: Region, for receiver: any UpstreamReceiver) -> Result<
        any UpstreamConnection, UpstreamUnavailable
    >? {
        switch region {
        case .northAmerica: pools.northAmerica.lease(for: receiver)
        case .europe: pools.europe.lease(for: receiver)
        case .farEast: pools.farEast.lease(for: receiver)
        }
    }

    // MARK: Records

    func prefetch(_ scope: IdempotencyScope) { store.prefetch(scope) }

    func acceptedResponse(to claim: IdempotencyClaim, now: NIODeadline) -> AcceptedResponse? {
        store.acceptedResponse(to: claim, now: now)
    }

    func claim(_ claim: IdempotencyClaim, now: NIODeadline) -> Eventual<ClaimReply> {
        store.claim(claim, now: now, on: eventLoop)
    }

    func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement, _ result: AttemptResult, now: NIODeadline
    ) -> Eventual<SettlementReply> {
        store.settle(claim, settlement, result: result, now: now, on: eventLoop)
    }

    /// Which store replies as a rule.
    var storeKind: StoreKind { store.kind }
}
