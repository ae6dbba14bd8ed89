public import GatewayCore

/// What the status page shows: `GET /api/status`.
public struct StatusReport: Encodable, Sendable {
    public struct Region: Encodable, Sendable {
        public var name: String
        /// `closed`, `halfOpen` or `open`.
        public var circuit: String
        public var inFlightLimit: Int
        /// What the limit is while nobody complains.
        public var inFlightMaximum: Int
        /// By skill: messages that it may have in flight, where Amazon has answered it 429.
        public var skillLimits: [String: Int]
        public var connections: Connections
        /// Amazon's answers since the start, by status in decimal.
        public var answers: [String: Int]
        /// In seconds, since the start; nil where there was no answer.
        public var median: Double?
        public var p99: Double?
        public var outcomeUnknown: Int
        public var lastMinute: Minute

        public init(
            name: String, status: UpstreamStatus, skillLimits: [String: Int], answers: [String: Int],
            median: Double?, p99: Double?, outcomeUnknown: Int, lastMinute: Minute
        ) {
            self.name = name
            circuit = "\(status.circuit)"
            inFlightLimit = status.inFlightLimit
            inFlightMaximum = status.inFlightMaximum
            self.skillLimits = skillLimits
            connections = Connections(
                idle: status.connections.idle, busy: status.connections.leased,
                connecting: status.connections.connecting)
            self.lastMinute = lastMinute
            self.answers = answers
            self.median = median
            self.p99 = p99
            self.outcomeUnknown = outcomeUnknown
        }
    }

    /// Amazon's answers in the last minute, or since the start.
    public struct Minute: Encodable, Sendable {
        /// By status in decimal.
        public var answers: [String: Int]
        /// In seconds; nil where there was no answer.
        public var median: Double?
        public var p99: Double?

        public init(_ region: RecentTraffic.Region) {
            answers = Dictionary(uniqueKeysWithValues: region.answers.map { (String($0), $1) })
            median = region.median
            p99 = region.p99
        }
    }

    public struct Caller: Encodable, Sendable {
        public var name: String
        /// In the last minute: requests a second that had an answer.
        public var perSecond: Double
        /// In the last minute: of those, the ones that the gateway refused, that Amazon did not accept, and that were answered again.
        public var refused: Int
        public var refusedByAmazon: Int
        public var replayed: Int
        /// Messages; nil where it may have as many as it likes.
        public var inFlight: Int?
        public var maximumInFlight: Int?
        /// Unix time, to a few seconds; nil: not since the start.
        public var lastSeen: Double?

        /// - Parameters:
        ///   - traffic: of the last so many seconds.
        public init(
            name: String, traffic: RecentTraffic.Caller, seconds: Double, inFlight: Int?, maximumInFlight: Int?,
            lastSeen: Double?
        ) {
            self.name = name
            perSecond = seconds > 0 ? Double(traffic.answered) / seconds : 0
            refused = traffic.refusedHere
            refusedByAmazon = traffic.refusedByAmazon
            replayed = traffic.replayed
            self.inFlight = inFlight
            self.maximumInFlight = maximumInFlight
            self.lastSeen = lastSeen
        }
    }

    public struct Connections: Encodable, Sendable {
        public var idle: Int
        public var busy: Int
        public var connecting: Int
    }

    public struct Skill: Encodable, Sendable {
        public var name: String
        /// `valid`, `none` (never had one) or `expired`.
        public var token: String
        /// In seconds; nil while there is no token.
        public var age: Double?
        public var expiresIn: Double?
        public var fetches: Int
        public var failedFetches: Int
        /// Why the last try to fetch a token failed.
        public var problem: String?

        public init(
            name: String, token: String, age: Double?, expiresIn: Double?, fetches: Int, failedFetches: Int,
            problem: String? = nil
        ) {
            self.problem = problem
            self.name = name
            self.token = token
            self.age = age
            self.expiresIn = expiresIn
            self.fetches = fetches
            self.failedFetches = failedFetches
        }
    }

    public struct Store: Encodable, Sendable {
        /// `memory` or `redis`.
        public var kind: String
        public var up: Bool
        /// In this process; nil where they are in Redis.
        public var records: Int?
        /// In seconds: how long accepted messages are remembered.
        public var retention: Double
        /// Outcomes that Redis has not confirmed.
        public var backlog: Int?
        /// What keeps it from holding what it promises.
        public var problems: [String]

        public init(kind: String, up: Bool, records: Int?, retention: Double, backlog: Int?, problems: [String] = []) {
            self.problems = problems
            self.kind = kind
            self.up = up
            self.records = records
            self.retention = retention
            self.backlog = backlog
        }
    }

    /// A kind of trouble with messages, as it came up last.
    public struct Problem: Encodable, Equatable, Sendable {
        /// Unix time.
        public var time: Double
        public var problem: String
        public var status: Int
        public var region: String?
        /// As in the answers, without the hop.
        public var proxyStatus: String
        public var detail: String
        /// How often, since the start.
        public var count: Int

        public init(
            time: Double, problem: String, status: Int, region: String?, proxyStatus: String, detail: String, count: Int
        ) {
            self.time = time
            self.problem = problem
            self.status = status
            self.region = region
            self.proxyStatus = proxyStatus
            self.detail = detail
            self.count = count
        }
    }

    /// Unix time.
    public var time: Double
    public var startedAt: Double
    public var version: String
    /// The name of the machine, or of the container.
    public var host: String
    public var state: Readiness.State
    public var reasons: [String]
    public var ready: Bool
    public var draining: Bool
    public var inFlight: Int
    /// Messages since the start.
    public var replayed: Int
    public var refused: Int
    public var regions: [Region]
    /// By name.
    public var callers: [Caller]
    public var skills: [Skill]
    public var store: Store
    /// Users that no region knew; who they are is at `/api/gone-users`.
    public var usersGone: Int
    /// The newest first.
    public var problems: [Problem]
    /// The oldest first.
    public var history: [TrafficHistory.Point]

    public init(
        time: Double, startedAt: Double, version: String, host: String, readiness: Readiness, inFlight: Int,
        replayed: Int,
        refused: Int, regions: [Region], callers: [Caller], skills: [Skill], store: Store, usersGone: Int,
        problems: [Problem],
        history: [TrafficHistory.Point]
    ) {
        self.usersGone = usersGone
        self.time = time
        self.startedAt = startedAt
        self.version = version
        self.host = host
        state = readiness.state
        reasons = readiness.reasons
        ready = readiness.ready
        draining = readiness.draining
        self.inFlight = inFlight
        self.replayed = replayed
        self.refused = refused
        self.regions = regions
        self.callers = callers
        self.skills = skills
        self.store = store
        self.problems = problems
        self.history = history
    }
}
