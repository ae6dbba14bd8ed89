/// The configuration of the data plane: one immutable value, made when the configuration is loaded.
package struct ForwardingConfiguration: Sendable {
    package enum ConcurrentDuplicates: String, CaseIterable, Sendable {
        /// A duplicate of a message in flight waits for its answer.
        case wait
        /// It is answered 409 at once.
        case reject
    }

    package struct Limits: Equatable, Sendable {
        /// From the request's last byte to the answer.
        package var deadline = Duration.seconds(10)
        /// How long a message waits for a token to be fetched.
        var tokenTimeout = Duration.seconds(2)
        /// A claim older than this is not sent: the process was paused, and the lease may have ended.
        package var sendBudget = Duration.seconds(1)

        package init() {}

        /// Always longer than an attempt can take. The margin only decides when the outcome of an attempt that was never
        /// settled becomes unknown.
        package var lease: Duration { Self.lease(deadline: deadline) }

        static func lease(deadline: Duration) -> Duration {
            deadline + min(.seconds(5), max(.seconds(1), deadline / 2))
        }
    }

    package var callers: CallerDirectory
    package var skills: [Skill]
    package var regions: RegionDirectory
    package var endpoints: ByRegion<APIEndpoint>
    package var limits = Limits()
    /// By which skills report the messages that they have received.
    package var receipts = ReceiptIDs(signingSecrets: [], skills: [])
    /// How long a key is remembered.
    package var retention = Duration.seconds(86_400)
    package var concurrentDuplicates = ConcurrentDuplicates.wait
    /// Amazon's 500 leaves the outcome unknown instead of proving that the message was not accepted.
    package var strict5xx = false
    /// Where neither the caller nor the skill has one of its own.
    package var discovery = RegionDiscovery.off
    /// Those that are reported.
    package var events: Set<GatewayEvent.Kind> = []
    /// After so long, an outcome that is unknown still is reported.
    package var unknownOutcomeAge = Duration.seconds(300)
    /// Nil: no request has a trace.
    package var tracing: TraceSampling?
    /// The access log has a line for 1 in N accepted messages.
    package var acceptedPerLogLine = 1

    package init(
        callers: CallerDirectory, skills: [Skill], regions: RegionDirectory, endpoints: ByRegion<APIEndpoint>
    ) {
        self.callers = callers
        self.skills = skills
        self.regions = regions
        self.endpoints = endpoints
    }
}
