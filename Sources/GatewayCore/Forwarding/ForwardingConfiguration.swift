/// Everything the data plane reads: one value, made when the configuration is read, never changed.
public struct ForwardingConfiguration: Sendable {
    public enum ConcurrentDuplicates: String, CaseIterable, Sendable {
        /// A duplicate of a message in flight waits for its answer.
        case wait
        /// It is answered 409 at once.
        case reject
    }

    /// What becomes of a message whose region is only the skill's default, or not known at all.
    public enum Discovery: String, CaseIterable, Sendable {
        /// It is sent to the default, or refused.
        case off
        /// If the first region does not know the user, the others are tried.
        case probe
    }

    public struct Limits: Equatable, Sendable {
        /// From the request's last byte to the answer.
        public var deadline = Duration.seconds(10)
        /// How long a message waits for a token to be fetched.
        public var tokenTimeout = Duration.seconds(2)
        /// A claim older than this is not sent any more: its process was paused, and who knows for how long.
        public var sendBudget = Duration.seconds(1)

        public init() {}

        /// Longer than any attempt can take, whatever the margin: it decides only when an attempt that was never
        /// settled is called doubtful.
        public var lease: Duration { deadline + min(.seconds(5), max(.seconds(1), deadline / 2)) }
    }

    public var callers: CallerDirectory
    public var skills: [Skill]
    public var regions: RegionDirectory
    public var endpoints: ByRegion<APIEndpoint>
    public var userAgent: String
    public var limits = Limits()
    /// How long a key is remembered.
    public var retention = Duration.seconds(86_400)
    public var concurrentDuplicates = ConcurrentDuplicates.wait
    /// Amazon's 500 leaves the outcome unknown instead of proving that the message was not accepted.
    public var strict5xx = false
    public var discovery = Discovery.off
    /// The access log has a line for 1 in N accepted messages.
    public var acceptedPerLogLine = 1

    public init(
        callers: CallerDirectory, skills: [Skill], regions: RegionDirectory, endpoints: ByRegion<APIEndpoint>,
        userAgent: String
    ) {
        self.callers = callers
        self.skills = skills
        self.regions = regions
        self.endpoints = endpoints
        self.userAgent = userAgent
    }
}
