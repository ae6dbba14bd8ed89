/// What one event loop counts of the messages it forwards. Written by that loop alone; a scrape copies it there and
/// adds the copies up, so that no message ever waits for another loop or for a scrape.
package struct ForwardingInstruments: Sendable {
    /// The labels of `skillgate_messages_total` that come from the request, by their place in the configuration.
    package struct Labels: Sendable {
        package var caller: Int?
        package var skill: Int?
        package var region: Region?
        /// No label of a message's series, as what follows.
        package var keySource: IdempotencyKeySource.Label?
        /// Rules that the caller broke and was let through all the same.
        var brokenRules: CallerRules = []
        /// For logs.
        package var id: ExchangeID?
        /// For logs and exemplars.
        package var trace: TraceContext?

        /// Nil for a request that nobody would look for.
        func exemplar(_ seconds: Double) -> Exemplar? { Exemplar(trace: trace, id: id, seconds: seconds) }
    }

    /// One series of `skillgate_messages_total`. Small numbers, so that counting a message hashes eight bytes.
    package struct MessageSeries: Hashable, Sendable {
        private let packed: UInt64

        init(_ labels: Labels, status: Int, source: Response.Source) {
            packed =
                UInt64(UInt16(clamping: (labels.caller ?? -1) + 1)) << 48
                | UInt64(UInt16(clamping: (labels.skill ?? -1) + 1)) << 32
                | UInt64(UInt8(clamping: (labels.region?.rawValue ?? -1) + 1)) << 24
                | UInt64(UInt8(clamping: Self.place(of: source))) << 16
                | UInt64(UInt16(clamping: status))
        }

        package var caller: Int? { Self.index(packed >> 48 & 0xFFFF) }
        package var skill: Int? { Self.index(packed >> 32 & 0xFFFF) }
        package var region: Region? { Self.index(packed >> 24 & 0xFF).flatMap(Region.init(rawValue:)) }
        package var source: Response.Source { Response.Source.allCases[Int(packed >> 16 & 0xFF)] }
        package var status: Int { Int(packed & 0xFFFF) }

        private static func index(_ field: UInt64) -> Int? { field == 0 ? nil : Int(field) - 1 }

        fileprivate static func place(of source: Response.Source) -> Int {
            switch source {
            case .upstream: 0
            case .gateway: 1
            case .replay: 2
            }
        }
    }

    package struct UpstreamSeries: Hashable, Sendable {
        package var region: Region
        package var status: Int
    }

    /// One series of `skillgate_requests_reported_total`.
    package struct ReportedSeries: Hashable, Sendable {
        /// Its label.
        package var caller: Int
        package var rule: CallerRule

        package init(caller: Int, rule: CallerRule) {
            self.caller = caller
            self.rule = rule
        }
    }

    /// Why a message was written to a socket, or was not.
    package enum AttemptReason: String, CaseIterable, Sendable {
        case first
        case tokenRenewed = "token_renewed"
        /// The first region did not know the user.
        case otherRegion = "other_region"
        /// The connection was found dead before a byte was written.
        case connectionLost = "connection_lost"
        /// The region has said that it had done nothing with the message.
        case notProcessed = "not_processed"
        /// Amazon had refused it for what other callers sent.
        case throttled

        fileprivate var place: Int {
            switch self {
            case .first: 0
            case .tokenRenewed: 1
            case .otherRegion: 2
            case .connectionLost: 3
            case .notProcessed: 4
            case .throttled: 5
            }
        }
    }

    /// A number for each reason.
    package struct Attempts: Sendable {
        private var counts = Array(repeating: 0, count: AttemptReason.allCases.count)

        package internal(set) subscript(reason: AttemptReason) -> Int {
            get { counts[reason.place] }
            set { counts[reason.place] = newValue }
        }

        mutating func add(_ other: Attempts) {
            for place in counts.indices { counts[place] += other.counts[place] }
        }
    }

    /// What a claim found: `ClaimOutcome` as a label.
    package enum ClaimOutcomeLabel: String, CaseIterable, Sendable {
        case owned
        case inFlight = "in_flight"
        case accepted
        case unknown
        case mismatched
        case indistinct
        case storeFull = "store_full"
        case storeUnavailable = "store_unavailable"

        fileprivate var place: Int {
            switch self {
            case .owned: 0
            case .inFlight: 1
            case .accepted: 2
            case .unknown: 3
            case .mismatched: 4
            case .storeFull: 5
            case .storeUnavailable: 6
            case .indistinct: 7
            }
        }

        init(_ outcome: ClaimOutcome) {
            self =
                switch outcome {
                case .owned: .owned
                case .inFlight: .inFlight
                case .accepted: .accepted
                case .unknown: .unknown
                case .mismatched: .mismatched
                case .indistinct: .indistinct
                case .storeFull: .storeFull
                case .storeUnavailable: .storeUnavailable
                }
        }
    }

    /// A number for each store and outcome.
    package struct Claims: Sendable {
        private var counts = Array(repeating: 0, count: StoreKind.allCases.count * ClaimOutcomeLabel.allCases.count)

        package internal(set) subscript(store: StoreKind, outcome: ClaimOutcomeLabel) -> Int {
            get { counts[Self.place(store, outcome)] }
            set { counts[Self.place(store, outcome)] = newValue }
        }

        mutating func add(_ other: Claims) {
            for place in counts.indices { counts[place] += other.counts[place] }
        }

        private static func place(_ store: StoreKind, _ outcome: ClaimOutcomeLabel) -> Int {
            store.place * ClaimOutcomeLabel.allCases.count + outcome.place
        }
    }

    package internal(set) var messages: [MessageSeries: Int] = [:]
    package internal(set) var messagesInFlight = 0
    package internal(set) var upstreamDurations: [UpstreamSeries: Histogram] = [:]
    package internal(set) var upstreamQueue = ByRegion { _ in Histogram(bounds: Histogram.messageSeconds) }
    package internal(set) var upstreamAttempts = ByRegion { _ in Attempts() }
    package internal(set) var idempotencyClaims = Claims()
    /// Valid messages by where their keys come from; the last place is for those without one.
    private var keySources = Array(repeating: 0, count: IdempotencyKeySource.Label.allCases.count + 1)
    package internal(set) var outcomeUnknown = ByRegion { _ in 0 }
    package internal(set) var rejected: [Problem: Int] = [:]
    package internal(set) var reported: [ReportedSeries: Int] = [:]
    package internal(set) var deliveries = DeliveryInstruments()
    /// By region, with one more for messages without one, and by source.
    private var messageDurations = Array(
        repeating: Histogram(bounds: Histogram.messageSeconds),
        count: (Region.allCases.count + 1) * Response.Source.allCases.count)

    package init() {}

    /// Messages whose keys come from there; nil: that have none.
    func messages(keyedFrom source: IdempotencyKeySource.Label?) -> Int { keySources[Self.place(source)] }

    mutating func keyed(from source: IdempotencyKeySource.Label?) { keySources[Self.place(source)] += 1 }

    private static func place(_ source: IdempotencyKeySource.Label?) -> Int {
        source?.place ?? IdempotencyKeySource.Label.allCases.count
    }

    package func messageDuration(_ region: Region?, _ source: Response.Source) -> Histogram {
        messageDurations[Self.place(region, source)]
    }

    private static func place(_ region: Region?, _ source: Response.Source) -> Int {
        ((region?.rawValue ?? -1) + 1) * Response.Source.allCases.count + MessageSeries.place(of: source)
    }

    mutating func messageBegan() {
        if !BenchmarkOmissions.metrics { messagesInFlight += 1 }
    }

    mutating func claimed(_ reply: ClaimReply) {
        if !BenchmarkOmissions.metrics { idempotencyClaims[reply.store, ClaimOutcomeLabel(reply.outcome)] += 1 }
    }

    mutating func waited(_ region: Region, seconds: Double, exemplar: @autoclosure () -> Exemplar? = nil) {
        if !BenchmarkOmissions.metrics { upstreamQueue[region].observe(seconds, exemplar: exemplar()) }
    }

    mutating func attempted(_ region: Region, _ reason: AttemptReason) {
        if !BenchmarkOmissions.metrics { upstreamAttempts[region][reason] += 1 }
    }

    mutating func refused(_ problem: Problem) {
        if !BenchmarkOmissions.metrics { rejected[problem, default: 0] += 1 }
    }

    mutating func messageFinished(_ labels: Labels, _ answer: Response, seconds: Double) {
        if BenchmarkOmissions.metrics { return }
        messagesInFlight -= 1
        messages[MessageSeries(labels, status: answer.status, source: answer.source), default: 0] += 1
        messageDurations[Self.place(labels.region, answer.source)].observe(
            seconds, exemplar: labels.exemplar(seconds))
        guard case .refusal(let refusal) = answer.content else { return }
        rejected[refusal.problem, default: 0] += 1
        if refusal.problem.row.resend == .mayDouble, !answer.isReplay, let region = labels.region {
            outcomeUnknown[region] += 1
        }
    }

    /// A request that broke a rule of its caller was let through.
    mutating func reported(_ rule: CallerRule, of caller: Int) {
        reported[ReportedSeries(caller: caller, rule: rule), default: 0] += 1
    }

    mutating func upstreamResponded(
        _ region: Region, status: Int, seconds: Double, exemplar: @autoclosure () -> Exemplar? = nil
    ) {
        if BenchmarkOmissions.metrics { return }
        upstreamDurations[
            UpstreamSeries(region: region, status: status), default: Histogram(bounds: Histogram.messageSeconds)
        ].observe(seconds, exemplar: exemplar())
    }

    /// Adds what another event loop counted.
    package mutating func add(_ other: ForwardingInstruments) {
        messages.merge(other.messages, uniquingKeysWith: +)
        messagesInFlight += other.messagesInFlight
        for (series, histogram) in other.upstreamDurations {
            upstreamDurations[series, default: Histogram(bounds: histogram.bounds)].add(histogram)
        }
        for region in Region.allCases {
            upstreamQueue[region].add(other.upstreamQueue[region])
            upstreamAttempts[region].add(other.upstreamAttempts[region])
            outcomeUnknown[region] += other.outcomeUnknown[region]
        }
        idempotencyClaims.add(other.idempotencyClaims)
        for place in keySources.indices { keySources[place] += other.keySources[place] }
        rejected.merge(other.rejected, uniquingKeysWith: +)
        reported.merge(other.reported, uniquingKeysWith: +)
        deliveries.add(other.deliveries)
        for index in messageDurations.indices { messageDurations[index].add(other.messageDurations[index]) }
    }
}
