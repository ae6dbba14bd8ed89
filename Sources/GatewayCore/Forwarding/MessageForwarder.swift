public import Crypto
public import NIOCore

/// Gets the answer to one request. Called once for each, on the event loop of the forwarder.
public protocol AnswerRecipient: AnyObject {
    func answered(_ answer: Answer)
}

/// Forwards the messages of one event loop: what they share while they are under way.
///
/// `Forwarding` is the way of one message; this is the ground it walks on.
public final class MessageForwarder {
    let configuration: ForwardingConfiguration
    let times: Times
    let store: any IdempotencyStore
    let pools: ByRegion<any UpstreamPool>
    let eventLoop: any EventLoop
    let requests: ByRegion<UpstreamRequest>
    let sends: TurnQueue<Forwarding.Send>
    var hasher: IdempotencyHasher
    public internal(set) var instruments = ForwardingInstruments()
    /// Nil where none is kept.
    let accessLog: AccessLog?
    private let onProblem: @Sendable (Refusal, Region?) -> Void
    private let scopePrefixes: [[[UInt8]]]
    private let origin: UInt64
    private var attempts: UInt64 = 0

    /// The configuration's durations in the form in which they are added to deadlines, a few for each message: making
    /// it anew each time takes divisions of 128 bits.
    struct Times {
        let deadline: TimeAmount
        let lease: TimeAmount
        let retention: TimeAmount
        let sendBudget: TimeAmount

        init(_ configuration: ForwardingConfiguration) {
            deadline = TimeAmount(configuration.limits.deadline)
            lease = TimeAmount(configuration.limits.lease)
            retention = TimeAmount(configuration.retention)
            sendBudget = TimeAmount(configuration.limits.sendBudget)
        }
    }

    /// - Parameters:
    ///   - fingerprintKey: the same on every replica that shares the store.
    ///   - origin: of the attempts made here; no other event loop of any replica has the same, ever.
    ///   - onProblem: told of each refusal that an operator may want to know of.
    public init(
        _ configuration: ForwardingConfiguration, store: any IdempotencyStore, pools: ByRegion<any UpstreamPool>,
        fingerprintKey: SymmetricKey, eventLoop: any EventLoop, origin: UInt64 = .random(in: .min ... .max),
        accessLog: AccessLog? = nil,
        onProblem: @escaping @Sendable (Refusal, Region?) -> Void = { _, _ in }
    ) {
        self.configuration = configuration
        times = Times(configuration)
        self.store = store
        self.pools = pools
        self.eventLoop = eventLoop
        self.origin = origin
        self.accessLog = accessLog
        self.onProblem = onProblem
        requests = ByRegion {
            UpstreamRequest(endpoint: configuration.endpoints[$0], userAgent: configuration.userAgent)
        }
        sends = TurnQueue(on: eventLoop) { $0.perform() }
        hasher = IdempotencyHasher(fingerprintKey: fingerprintKey)
        scopePrefixes = configuration.callers.callers.map { caller in
            configuration.skills.map { Self.scopePrefix(caller: caller.name, skill: $0.name) }
        }
    }

    /// Takes one request to its answer. The way goes on whatever becomes of the recipient.
    public func forward(_ request: InboundRequest, to recipient: any AnswerRecipient) {
        do {
            switch try Self.route(request) {
            case .message(let user): Forwarding(request, user: user, recipient: recipient, on: self).begin()
            case .idempotencyKey(let key): KeyInquiry(forwarder: self, request: request).begin(key, recipient)
            }
        } catch {
            refused(error.problem)
            recipient.answered(Answer(.refusal(error), region: nil))
        }
    }

    /// Counts a request that was refused before it could be forwarded.
    public func refused(_ problem: Problem) {
        instruments.refused(problem)
        accessLog?.refused(problem)
    }

    /// What a request's target names, and where in the head its last segment stands.
    private enum Route {
        case message(user: Range<Int>)
        case idempotencyKey(Range<Int>)
    }

    private static func route(_ request: InboundRequest) throws(Refusal) -> Route {
        let route: Route
        let method: (RequestHead.Method, name: String)
        if let user = segment(of: request, behind: "/v1/skillmessages/users/") {
            (route, method) = (.message(user: user), (.post, "POST"))
        } else if let key = segment(of: request, behind: "/v1/idempotency-keys/") {
            (route, method) = (.idempotencyKey(key), (.get, "GET"))
        } else {
            throw Refusal(
                .notFound, "there is nothing at this path; messages go to /v1/skillmessages/users/{userId}")
        }
        guard request.head.method == method.0 else {
            var refusal = Refusal(.methodNotAllowed, "only \(method.name) is allowed here")
            refusal.allow = method.name
            throw refusal
        }
        guard !request.head.hasQuery else { throw Refusal(.fieldInvalid, "the target takes no query") }
        return route
    }

    /// The one segment behind `prefix`.
    private static func segment(of request: InboundRequest, behind prefix: StaticString) -> Range<Int>? {
        let headBytes = request.headBytes
        let bytes = headBytes.readableBytesUInt8Span
        let path = request.head.path
        let segment = path.lowerBound + min(prefix.utf8CodeUnitCount, path.count)..<path.upperBound
        guard bytes.isEqual(path.lowerBound..<segment.lowerBound, to: prefix),
            !segment.contains(where: { bytes[$0] == UInt8(ascii: "/") })
        else { return nil }
        return segment
    }

    func scope(caller: Caller, skill: Skill, key: IdempotencyKey) -> IdempotencyScope {
        hasher.scope(prefix: scopePrefixes[caller.index][skill.index], key: key)
    }

    func nextAttempt() -> AttemptID {
        attempts += 1
        return AttemptID(origin: origin, number: attempts)
    }

    /// Hands on what the access log has gathered.
    public func flushAccessLog() {
        accessLog?.flush()
    }

    func report(_ refusal: Refusal, region: Region?) {
        if refusal.problem.row.severity == .warning { onProblem(refusal, region) }
    }

    /// Lengths first, so that no two pairs of names share a prefix.
    private static func scopePrefix(caller: String, skill: String) -> [UInt8] {
        var prefix: [UInt8] = []
        for name in [caller, skill] {
            withUnsafeBytes(of: UInt32(clamping: name.utf8.count).bigEndian) { prefix.append(contentsOf: $0) }
            prefix.append(contentsOf: name.utf8)
        }
        return prefix
    }
}
