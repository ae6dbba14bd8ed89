import Crypto
package import NIOCore

/// Routes the requests of one event loop, and holds the state that its messages share.
///
/// `Forwarding` forwards one message.
package final class MessageForwarder: RequestHandler {
    private(set) var snapshot: ConfigurationSnapshot
    let store: any IdempotencyStore
    let pools: ByRegion<any UpstreamPool>
    let eventLoop: any EventLoop
    private let sends: EndOfTickQueue
    var hasher: IdempotencyHasher
    /// The content of the last message that took the id of a receipt along; kept so that the next one reuses its memory.
    var contentBuffer = ByteBuffer()
    var instruments = ForwardingInstruments()
    let deliveries: DeliveryChecks
    let unknownOutcomes: UnknownOutcomes
    let logs: Logs
    let traces: TraceRecorder?
    /// By skill label: the generation of the last token with which Amazon accepted a message.
    private var provenGenerations: [UInt64?] = []
    private let failedAttempts: NetworkThrottle
    private let receiptRate: NetworkThrottle
    let pauses: Pauses
    private let webTokens: WebTokenAuthentication
    private let wallClock: @Sendable () -> UnixTimestamp
    private let onTrouble: @Sendable (Trouble, Region?) -> Void
    private let onEvent: @Sendable (GatewayEvent) -> Void
    private let origin: UInt64
    private var attempts: UInt64 = 0

    /// The logs of requests; nil if not configured.
    package struct Logs {
        package var access: AccessLog?
        package var audit: AuditLog?

        package init(access: AccessLog? = nil, audit: AuditLog? = nil) {
            self.access = access
            self.audit = audit
        }

        fileprivate var all: [LogLines] { [access?.lines, audit?.lines].compactMap { $0 } }
    }

    /// - Parameters:
    ///   - fingerprintKeys: the same on every replica that shares the store.
    ///   - origin: identifies this event loop in attempt IDs; unique across event loops, replicas and restarts.
    ///   - sends: of this event loop; nil for one of its own.
    ///   - failedAttempts, receiptRate, webTokens, pauses: shared by all event loops.
    ///   - wallClock: decides when callers' tokens expire.
    ///   - onTrouble: called for each failed message whose cause may concern an operator.
    ///   - onEvent: called for what the configuration's `events` names.
    package init(
        _ configuration: ForwardingConfiguration, store: any IdempotencyStore, pools: ByRegion<any UpstreamPool>,
        fingerprintKeys: FingerprintKeys, eventLoop: any EventLoop, origin: UInt64 = .random(in: .min ... .max),
        sends: EndOfTickQueue? = nil, failedAttempts: NetworkThrottle = NetworkThrottle.ofFailedAttempts(),
        receiptRate: NetworkThrottle = .ofReceipts(), webTokens: SharedWebTokens = SharedWebTokens(),
        pauses: Pauses = Pauses(),
        wallClock: @escaping @Sendable () -> UnixTimestamp,
        logs: Logs = Logs(), traces: TraceRecorder? = nil,
        onTrouble: @escaping @Sendable (Trouble, Region?) -> Void = { _, _ in },
        onEvent: @escaping @Sendable (GatewayEvent) -> Void = { _ in }
    ) {
        snapshot = ConfigurationSnapshot(configuration)
        logs.access?.acceptedPerLine = configuration.acceptedPerLogLine
        self.store = store
        deliveries = DeliveryChecks(store, on: eventLoop, wallClock: wallClock) {
            onEvent(GatewayEvent(.receiptOverdue($0, standsFor: $1), at: wallClock()))
        }
        unknownOutcomes = UnknownOutcomes(store, on: eventLoop) {
            onEvent(GatewayEvent(.outcomeUnknown($0, problem: $1), at: wallClock()))
        }
        self.pools = pools
        self.eventLoop = eventLoop
        self.origin = origin
        self.failedAttempts = failedAttempts
        self.receiptRate = receiptRate
        self.pauses = pauses
        self.webTokens = WebTokenAuthentication(on: eventLoop, webTokens)
        self.wallClock = wallClock
        self.logs = logs
        self.traces = traces
        traces?.use(configuration.tracing)
        self.onTrouble = onTrouble
        self.onEvent = onEvent
        self.sends = sends ?? EndOfTickQueue(on: eventLoop)
        hasher = IdempotencyHasher(fingerprintKeys)
    }

    /// Uses `configuration` for new requests; those in progress keep theirs. Endpoints do not change.
    ///
    /// - Parameters:
    ///   - callerNames, skillNames: by their labels.
    package func use(_ configuration: ForwardingConfiguration, callerNames: [String], skillNames: [String]) {
        snapshot = ConfigurationSnapshot(configuration)
        logs.access?.acceptedPerLine = configuration.acceptedPerLogLine
        deliveries.keep(only: Set(configuration.skills.filter { $0.receiptMember != nil }.map(\.label)))
        for lines in logs.all { lines.use(callerNames: callerNames, skillNames: skillNames) }
        traces?.use(callerNames: callerNames, skillNames: skillNames)
        traces?.use(configuration.tracing)
    }

    package func handle(_ request: InboundRequest, from peer: Peer, to recipient: any ResponseRecipient) {
        let arrived = now
        if let known = snapshot.known(request, from: peer, clock: wallClock) {
            return answer(request, from: peer, .caller(known), to: recipient, arrived: arrived)
        }
        let callers = snapshot.configuration.callers
        guard let (token, digest) = callers.webToken(request) else {
            return answer(request, from: peer, nil, to: recipient, arrived: arrived)
        }
        webTokens.authenticate(
            token, digest, from: peer, in: callers, atMost: snapshot.configuration.limits.tokenTimeout, now: unixTime()
        ) { outcome in
            // Callers and skills of one configuration do not go with another's.
            guard callers === self.snapshot.configuration.callers else {
                return self.handle(request, from: peer, to: recipient)
            }
            let shown = outcome.flatMap { outcome in
                Result { () throws(CallerError) in try callers.authenticated(outcome, by: request, from: peer) }
            }
            self.answer(request, from: peer, CallerDirectory.Shown(shown), to: recipient, arrived: arrived)
        }
    }

    /// - Parameter shown: whose the request is; nil: that has to be found out.
    private func answer(
        _ request: InboundRequest, from peer: Peer, _ shown: consuming CallerDirectory.Shown?,
        to recipient: any ResponseRecipient, arrived: NIODeadline
    ) {
        do {
            let (route, base) = try route(request)
            let exchange = Exchange(
                route.action, request, base, from: peer, shown, to: recipient, on: self, arrived: arrived)
            if snapshot.configuration.callers.sharesRates && route.isOfCaller, let permit = exchange.permitToAwait() {
                return exchange.await(permit) { Self.begin(exchange, on: route) }
            }
            Self.begin(exchange, on: route)
        } catch {
            refused(error.problem, request.id, from: peer)
            recipient.answered(Response(.refusal(error), region: nil))
        }
    }

    private static func begin(_ exchange: Exchange, on route: Route) {
        switch route {
        case .message(let user): Forwarding.begin(exchange, user: user)
        case .idempotencyKey(let key): IdempotencyKeyLookup(exchange: exchange).begin(key)
        case .settlement(let key): IdempotencyKeySettlement(exchange: exchange).begin(key)
        case .userRegion(let user): UserRegionUpdate(exchange: exchange).answer(user)
        case .receipts: ReceiptReport(exchange).answer()
        case .accessToken: CallerTokenEndpoint(exchange: exchange).answer()
        }
    }

    package func refusal(beforeContentOf request: InboundRequest, from peer: Peer) -> Refusal? {
        do throws(Refusal) {
            guard try route(request).0.isOfCaller else { return nil }
            let callers = snapshot.configuration.callers
            // A JSON Web Token is looked at once, behind the content.
            guard callers.known(request, from: peer, clock: wallClock) == nil, callers.webToken(request) == nil
            else { return nil }
            _ = try authenticate(request, from: peer)
            return nil
        } catch {
            refused(error.problem, request.id, from: peer)
            return error
        }
    }

    package func refused(_ problem: Problem, _ id: ExchangeID, from peer: Peer) {
        instruments.refused(problem)
        logs.access?.refused(problem, id, from: peer)
    }

    // MARK: Authentication

    /// The caller that the request's credentials identify.
    func authenticate(
        _ request: InboundRequest, from peer: Peer, _ shown: CallerDirectory.Shown? = nil
    ) throws(Refusal) -> CallerDirectory.Authenticated {
        do {
            if let shown { return try shown.get() }
            return try snapshot.configuration.callers.authenticate(request, from: peer, clock: wallClock)
        } catch {
            throw failedAttempt(error, from: peer)
        }
    }

    /// The refusal of a failed authentication attempt: its cause, or that the client's network has had too many.
    func failedAttempt(_ error: CallerError, from peer: Peer) -> Refusal {
        switch error.reason {
        // Neither proves that the credentials are wrong.
        case .tooManyBadTokens, .issuerUnavailable: Refusal(error)
        default: failedAttempt(from: peer, otherwise: Refusal(error))
        }
    }

    private func failedAttempt(from peer: Peer, otherwise refusal: Refusal) -> Refusal {
        guard let seconds = failedAttempts.retryAfter(of: peer.place, now: eventLoop.now) else { return refusal }
        return .tooManyFailedAttempts(retryAfterSeconds: seconds)
    }

    /// An id that nobody here has made counts as a failed attempt.
    func unknownReceipt(from peer: Peer) -> Refusal {
        failedAttempt(
            from: peer, otherwise: Refusal(.receiptUnknown, "the id is none that this gateway has made"))
    }

    /// The same in a list, whose other ids have been taken.
    func unknownReceiptOfList(_ id: ExchangeID, from peer: Peer) {
        refused(unknownReceipt(from: peer).problem, id, from: peer)
    }

    func countReceipts(_ count: Int, from peer: Peer) throws(Refusal) {
        guard count > 0, let seconds = receiptRate.retryAfter(of: peer.place, count: count, now: eventLoop.now) else {
            return
        }
        throw Refusal(.receiptRate, "there are too many reports from this network", retryAfterSeconds: seconds)
    }

    // MARK: Proven tokens

    /// - Parameter generation: that of the token with which Amazon has accepted a message; nil: there was none.
    func proven(_ generation: UInt64?, of skill: Skill) {
        guard let generation, !isProven(generation, of: skill) else { return }
        while provenGenerations.count <= skill.label { provenGenerations.append(nil) }
        provenGenerations[skill.label] = generation
    }

    func isProven(_ generation: UInt64?, of skill: Skill) -> Bool {
        guard let generation, skill.label < provenGenerations.count else { return false }
        return provenGenerations[skill.label] == generation
    }

    /// What has been counted by now.
    package func counted() -> ForwardingInstruments {
        var instruments = instruments
        instruments.deliveries.add(deliveries.counted)
        return instruments
    }

    func unixTime() -> Int { wallClock().seconds }

    func timestamp() -> UnixTimestamp { wallClock() }

    // MARK: Routes

    /// The route of a request's target, with the range of its parameter in the head.
    private enum Route {
        case message(user: Range<Int>)
        case idempotencyKey(Range<Int>)
        case settlement(key: Range<Int>)
        case userRegion(user: Range<Int>)
        case accessToken
        case receipts

        /// Whether the head of the request shows whose it is; what entitles to the others stands in the content.
        var isOfCaller: Bool {
            switch self {
            case .message, .idempotencyKey, .settlement, .userRegion: true
            case .accessToken, .receipts: false
            }
        }

        var action: AuditLog.Action {
            switch self {
            case .message: .message
            case .idempotencyKey: .inquiry
            case .settlement: .settlement
            case .userRegion: .userRegion
            case .accessToken: .accessToken
            case .receipts: .receipt
            }
        }
    }

    private func route(_ request: InboundRequest) throws(Refusal) -> (Route, BasePath) {
        let headBytes = request.headBytes
        let base = try BasePath(headBytes.readableBytesUInt8Span, request.head.path)
        let route: Route
        let method: (RequestHead.Method, allowed: String)
        if let user = Self.segment(in: base.rest, of: request, behind: "/v1/skillmessages/users/") {
            (route, method) = (.message(user: user), (.post, "POST"))
        } else if let key = Self.segment(in: base.rest, of: request, behind: "/v1/idempotency-keys/") {
            let isPut = request.head.method == .put
            (route, method) = (isPut ? .settlement(key: key) : .idempotencyKey(key), (isPut ? .put : .get, "GET, PUT"))
        } else if let user = Self.segment(in: base.rest, of: request, behind: "/v1/users/", before: "/region") {
            (route, method) = (.userRegion(user: user), (.put, "PUT"))
        } else if snapshot.configuration.receipts.areUsed
            && headBytes.readableBytesUInt8Span.isEqual(base.rest, to: ReceiptReport.path)
        {
            (route, method) = (.receipts, (.post, "POST"))
        } else if snapshot.configuration.callers.tokens.areIssued && Self.isTokenEndpoint(base.rest, of: request) {
            (route, method) = (.accessToken, (.post, "POST"))
        } else {
            throw Refusal(
                .notFound, "no such path; send messages to /v1/skillmessages/users/{userId}")
        }
        guard request.head.method == method.0 else {
            var refusal = Refusal(.methodNotAllowed, "only \(method.allowed) is allowed here")
            refusal.allow = method.allowed
            throw refusal
        }
        guard !request.head.hasQuery else { throw Refusal(.fieldInvalid, "the target must not have a query") }
        return (route, base)
    }

    /// The range of the single segment of `path` between `prefix` and `suffix`; nil if the path has another form.
    private static func segment(
        in path: Range<Int>, of request: InboundRequest, behind prefix: StaticString, before suffix: StaticString = ""
    ) -> Range<Int>? {
        let headBytes = request.headBytes
        let bytes = headBytes.readableBytesUInt8Span
        let start = path.lowerBound + min(prefix.utf8CodeUnitCount, path.count)
        let segment = start..<max(start, path.upperBound - suffix.utf8CodeUnitCount)
        guard bytes.isEqual(path.lowerBound..<start, to: prefix),
            bytes.isEqual(segment.upperBound..<path.upperBound, to: suffix),
            bytes.first(UInt8(ascii: "/"), in: segment) == segment.upperBound
        else { return nil }
        return segment
    }

    /// In both spellings that Amazon's own endpoint has.
    private static func isTokenEndpoint(_ path: Range<Int>, of request: InboundRequest) -> Bool {
        let headBytes = request.headBytes
        let bytes = headBytes.readableBytesUInt8Span
        return bytes.isEqual(path, to: "/auth/o2/token") || bytes.isEqual(path, to: "/auth/O2/token")
    }

    func performAtEndOfTick(_ work: any EndOfTickQueue.Work) { sends.append(work) }

    func nextAttempt() -> AttemptID {
        attempts += 1
        return AttemptID(origin: origin, number: attempts)
    }

    /// Reports all messages whose outcome is unknown, however young: the process ends. Succeeds when that is done.
    package func reportUnknownOutcomes() -> EventLoopFuture<Void> { unknownOutcomes.checkAll() }

    package var unreportedOutcomes: Int { unknownOutcomes.count }

    /// Hands on the traces that there are; succeeds when that is done.
    package func closeTraces() -> EventLoopFuture<Void> {
        traces?.close() ?? eventLoop.makeSucceededVoidFuture()
    }

    /// Flushes and closes the logs.
    package func closeLogs() {
        for lines in logs.all { lines.close() }
    }

    func report(_ occurrence: GatewayEvent.Occurrence) { onEvent(GatewayEvent(occurrence, at: timestamp())) }

    func report(_ answer: Response) {
        if let trouble = Trouble(answer) { onTrouble(trouble, answer.region) }
    }
}
