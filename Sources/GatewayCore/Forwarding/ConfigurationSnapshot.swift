import NIOCore

/// One configuration, and values derived from it once. A message keeps the snapshot it began with, even across a reload.
final class ConfigurationSnapshot {
    let configuration: ForwardingConfiguration
    let times: Times
    private let scopePrefixes: [[[UInt8]]]

    /// The configuration's durations as `TimeAmount`. Each message adds a few of them to deadlines, and each conversion
    /// takes 128-bit divisions.
    struct Times {
        let deadline: TimeAmount
        let lease: TimeAmount
        let retention: TimeAmount
        let sendBudget: TimeAmount
        let unknownOutcomeAge: TimeAmount

        init(_ configuration: ForwardingConfiguration) {
            deadline = TimeAmount(configuration.limits.deadline)
            lease = TimeAmount(configuration.limits.lease)
            retention = TimeAmount(configuration.retention)
            sendBudget = TimeAmount(configuration.limits.sendBudget)
            unknownOutcomeAge = TimeAmount(configuration.unknownOutcomeAge)
        }
    }

    init(_ configuration: ForwardingConfiguration) {
        self.configuration = configuration
        times = Times(configuration)
        scopePrefixes = configuration.callers.callers.map { caller in
            configuration.skills.map { IdempotencyScope.prefix(caller: caller.recordID, skill: $0.recordID) }
        }
    }

    /// Whose the credentials are, if the connection had the same before; nil if that has to be found out.
    func known(
        _ request: InboundRequest, from peer: Peer, clock: () -> UnixTimestamp
    ) -> CallerDirectory.Authenticated? {
        configuration.callers.known(request, from: peer, clock: clock)
    }

    /// The prefix of the scopes of this caller's keys for this skill.
    func scopePrefix(_ caller: Caller, _ skill: Skill) -> [UInt8] {
        scopePrefixes[caller.index][skill.index]
    }
}
