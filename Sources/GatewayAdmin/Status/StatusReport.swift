package import GatewayCore

/// What the status page shows: `GET /api/status`.
package struct StatusReport: Encodable, Sendable {
    package struct Region: Encodable, Sendable {
        package var name: String
        /// `closed`, `halfOpen` or `open`.
        package var circuit: String
        package var inFlightLimit: Int
        /// What the limit is while nobody complains.
        package var inFlightMaximum: Int
        /// By skill: messages that it may have in flight, where Amazon has answered it 429.
        package var skillLimits: [String: Int]
        package var connections: Connections
        /// Amazon's answers since the start, by status in decimal.
        package var answers: [String: Int]
        /// In seconds, since the start; nil where there was no answer.
        package var median: Double?
        package var p99: Double?
        package var outcomeUnknown: Int
        /// Messages that have a connection.
        package var inFlight: Int
        /// What the last connection speaks, `http/1.1` or `h2`; nil before the first.
        package var httpVersion: String?
        package var lastMinute: Minute

        package init(
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
            inFlight = status.inFlight
            httpVersion = status.version?.rawValue
            self.lastMinute = lastMinute
            self.answers = answers
            self.median = median
            self.p99 = p99
            self.outcomeUnknown = outcomeUnknown
        }
    }

    /// Amazon's answers in the last minute, or since the start.
    package struct Minute: Encodable, Sendable {
        /// By status in decimal.
        package var answers: [String: Int]
        /// In seconds; nil where there was no answer.
        package var median: Double?
        package var p99: Double?

        package init(_ region: RecentTraffic.Region) {
            answers = Dictionary(uniqueKeysWithValues: region.answers.map { (String($0), $1) })
            median = region.median
            p99 = region.p99
        }
    }

    package struct Caller: Encodable, Sendable {
        package var name: String
        /// In the last minute: requests a second that had an answer.
        package var perSecond: Double
        /// In the last minute: of those, the ones that the gateway refused, that Amazon did not accept, and that were answered again.
        package var refused: Int
        var refusedByAmazon: Int
        package var replayed: Int
        /// Messages; nil where it may have as many as it likes.
        package var inFlight: Int?
        package var maximumInFlight: Int?
        /// Unix time, to a few seconds; nil: not since the start.
        package var lastSeen: Double?

        /// - Parameters:
        ///   - traffic: of the last so many seconds.
        package init(
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

    package struct Connections: Encodable, Sendable {
        package var idle: Int
        package var busy: Int
        package var connecting: Int
    }

    package struct Skill: Encodable, Sendable {
        package var name: String
        /// `valid`, `none` (never had one) or `expired`.
        package var token: String
        /// In seconds; nil while there is no token.
        package var age: Double?
        package var expiresIn: Double?
        package var fetches: Int
        package var failedFetches: Int
        /// Why the last try to fetch a token failed.
        package var problem: String?

        package init(
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

    /// Messages of a skill that reports them, since the start.
    package struct Delivery: Encodable, Sendable {
        package var skill: String
        package var received: Int
        /// Accepted, not looked at yet, and perhaps received: they may be delivered yet.
        package var pending: Int
        package var unreceived: Int
        /// In seconds, from acceptance to report; nil where there was none.
        package var median: Double?
        package var p99: Double?

        package init(skill: String, _ counts: DeliveryInstruments.Skill) {
            self.skill = skill
            received = counts.received
            pending = counts.pending
            unreceived = counts.unreceived
            median = counts.seconds.quantile(0.5)
            p99 = counts.seconds.quantile(0.99)
        }
    }

    package struct Store: Encodable, Sendable {
        /// `memory` or `redis`.
        package var kind: String
        package var up: Bool
        /// In this process; nil where they are in Redis.
        package var records: Int?
        /// In seconds: how long accepted messages are remembered.
        package var retention: Double
        /// Outcomes that Redis has not confirmed.
        package var backlog: Int?
        /// What keeps it from holding what it promises.
        package var problems: [String]

        package init(kind: String, up: Bool, records: Int?, retention: Double, backlog: Int?, problems: [String] = []) {
            self.problems = problems
            self.kind = kind
            self.up = up
            self.records = records
            self.retention = retention
            self.backlog = backlog
        }
    }

    /// A kind of trouble with messages, as it came up last.
    package struct Problem: Encodable, Equatable, Sendable {
        /// Unix time.
        package var time: Double
        package var problem: String
        package var status: Int
        package var region: String?
        /// As in the answers, without the hop.
        package var proxyStatus: String
        package var detail: String
        /// How often, since the start.
        package var count: Int

        package init(
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
    package var time: Double
    package var startedAt: Double
    package var version: String
    /// The name of the machine, or of the container.
    package var host: String
    package var state: Readiness.State
    package var reasons: [String]
    package var ready: Bool
    package var draining: Bool
    package var inFlight: Int
    /// Messages since the start.
    package var replayed: Int
    package var refused: Int
    package var regions: [Region]
    /// By name.
    package var callers: [Caller]
    package var skills: [Skill]
    /// Of the skills that report messages.
    package var deliveries: [Delivery]
    package var store: Store
    /// Users that no region knew; who they are is at `/api/gone-users`.
    package var usersGone: Int
    /// The newest first.
    package var problems: [Problem]
    /// The oldest first.
    package var history: [TrafficHistory.Point]

    package init(
        time: Double, startedAt: Double, version: String, host: String, readiness: Readiness, inFlight: Int,
        replayed: Int,
        refused: Int, regions: [Region], callers: [Caller], skills: [Skill], deliveries: [Delivery], store: Store,
        usersGone: Int,
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
        self.deliveries = deliveries
        self.store = store
        self.problems = problems
        self.history = history
    }
}
