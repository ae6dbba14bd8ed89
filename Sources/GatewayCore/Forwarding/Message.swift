import NIOCore

/// A message whose caller and content have been validated.
struct Message {
    let caller: Caller
    let skill: Skill
    let user: UserID
    let key: IdempotencyKey?
    /// The key is the content: an equal message is a duplicate for a while.
    let isKeyedByContent: Bool
    /// The key, where its sender cannot know it otherwise.
    let toldKey: IdempotencyKey?
    /// Where the id goes by which the skill reports the message; nil: it reports nothing.
    let receipt: ReceiptMember?
    /// Nothing is to be sent: the caller wants to know what would be.
    let isOnlyToBeValidated: Bool
    /// Of `data`, as compact JSON.
    let dataBytes: Int
    /// The caller accepts a possible duplicate.
    let consent: Bool
    /// From its last byte to its answer: the deadline of the configuration, or less if the caller waits less long.
    let timeLimit: TimeAmount
    private let lease: TimeAmount
    /// Waits leave something behind for as long as what they waited for takes. With shorter waits, a caller within its limit of
    /// messages in flight could leave behind any number.
    private static let shortestTimeLimit = TimeAmount.milliseconds(100)

    /// Authenticates and validates.
    ///
    /// A static function, since an initializer that can throw builds a copy first.
    ///
    /// - Parameter userSegment: where the userId stands in the request's head.
    static func read(_ exchange: Exchange, user userSegment: Range<Int>) throws(Refusal) -> Message {
        let fields = exchange.fields
        let caller = try exchange.authenticate()
        try exchange.enter(caller)
        let skill = try exchange.skill(of: caller)
        let user = try exchange.user(userSegment)
        let field = try fields.idempotencyKey()
        let consent = try fields.consentsToResend() || caller.unknownOutcome == .resend
        let isOnlyToBeValidated = try fields.isOnlyToBeValidated()
        exchange.isValidation = isOnlyToBeValidated
        let (timeLimit, lease) = try times(of: exchange, fields.timeout())
        try fields.refuseContentEncoding()
        let content = exchange.request.content
        let layout = try layout(of: content)
        var key: IdempotencyKey?
        let isKeyedByContent: Bool
        if caller.keySources.isFieldAlone {
            if field == nil && caller.requiresIdempotencyKey {
                try exchange.enforce(
                    .idempotencyKey, on: caller,
                    Refusal(.idempotencyKeyRequired, "field `Idempotency-Key` is missing; this caller must send one"))
            }
            (key, isKeyedByContent) = (field, false)
            exchange.labels.keySource = field == nil ? nil : .field
        } else {
            let found = try MessageKey.find(field, exchange, of: caller, to: user)
            (key, isKeyedByContent) = (found?.key, found?.source == .content)
            exchange.labels.keySource = found?.source
        }
        let receipt = try receipt(skill, content, layout)
        let isMade = receipt != nil && key == nil && !isOnlyToBeValidated
        if isMade {
            var generator = SystemRandomNumberGenerator()
            key = IdempotencyKey(randomBy: &generator)
            exchange.labels.keySource = .made
        }
        exchange.forwarder.instruments.keyed(from: exchange.labels.keySource)
        return Message(
            caller: caller, skill: skill, user: user, key: key, isKeyedByContent: isKeyedByContent,
            toldKey: isKeyedByContent || isMade ? key : nil, receipt: receipt,
            isOnlyToBeValidated: isOnlyToBeValidated, dataBytes: layout.dataBytes, consent: consent,
            timeLimit: timeLimit, lease: lease)
    }

    private static func times(
        of exchange: Exchange, _ timeout: TimeAmount?
    ) -> (limit: TimeAmount, lease: TimeAmount) {
        let times = exchange.snapshot.times
        guard let timeout, timeout < times.deadline else { return (times.deadline, times.lease) }
        let limit = max(timeout, Self.shortestTimeLimit)
        return (limit, TimeAmount(ForwardingConfiguration.Limits.lease(deadline: Duration(limit))))
    }

    private static func layout(of content: ByteBuffer) throws(Refusal) -> MessageValidator.Layout {
        if BenchmarkOmissions.validation { return MessageValidator.Layout() }
        do {
            return try MessageValidator.validate(content.readableBytesUInt8Span)
        } catch {
            throw Refusal(error)
        }
    }

    // MARK: Region

    /// Where the message is sent, and where else its user is looked for.
    func search(in exchange: Exchange) throws(Refusal) -> RegionSearch {
        let discovery = caller.discovery ?? skill.discovery ?? exchange.configuration.discovery
        let stated = try exchange.fields.statedRegion(in: exchange.configuration.regions)
        let learned = stated == nil ? learnedRegion : nil
        let region =
            if let known = stated ?? learned { known } else {
                try exchange.fields.assumedRegion(of: skill, for: caller, discovery)
            }
        exchange.labels.region = region
        try exchange.checkRegion(region, of: caller)
        return RegionSearch(
            from: region, stated != nil ? .stated : learned != nil ? .learned : .guessed,
            among: discovery == .probe ? caller.searchedRegions : [])
    }

    /// What another caller says does not keep this one out of the regions that it may send to.
    private var learnedRegion: Region? {
        guard let region = skill.region(of: user) else { return nil }
        return caller.maySend(to: region) || !skill.users.isOnlySaid(user) ? region : nil
    }

    /// Completes once what other replicas know of the user is known here; nil: there is nothing to ask for.
    func askReplicas(in exchange: Exchange) throws(Refusal) -> EventLoopFuture<Void>? {
        guard skill.users.areShared, try exchange.fields.statedRegion(in: exchange.configuration.regions) == nil else {
            return nil
        }
        return skill.users.askReplicas(of: user, on: exchange.eventLoop)
    }

    private static func receipt(
        _ skill: Skill, _ content: ByteBuffer, _ layout: MessageValidator.Layout
    ) throws(Refusal) -> ReceiptMember? {
        guard let name = skill.receiptMember else { return nil }
        do {
            return try ReceiptMember(name, in: content, layout)
        } catch {
            throw Refusal(error)
        }
    }

    /// The claim on its idempotency key, the same for every try of this request; nil without a key.
    func claim(in exchange: Exchange) -> IdempotencyClaim? {
        guard let key else { return nil }
        let (forwarder, snapshot) = (exchange.forwarder, exchange.snapshot)
        let scope = forwarder.hasher.scope(prefix: snapshot.scopePrefix(caller, skill), key: key)
        forwarder.prefetch(scope)
        let (fingerprint, others) = forwarder.hasher.fingerprints(
            key: key, user: user, content: exchange.request.content)
        return IdempotencyClaim(
            scope: scope,
            fingerprint: fingerprint,
            owner: forwarder.nextAttempt(),
            lease: lease,
            retention: isKeyedByContent ? TimeAmount(caller.keySources.contentWindow) : snapshot.times.retention,
            consent: consent,
            caller: caller.label,
            otherFingerprints: others,
            isBrief: isKeyedByContent)
    }
}
