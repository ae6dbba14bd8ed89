/// What has become of one accepted message on its way to the skill.
struct Delivery: Codable, Equatable, Sendable {
    enum State: String, Codable, Sendable {
        /// Can transition to: acknowledged, expired.
        case pending
        case acknowledged
        case expired
    }

    struct Attempt: Codable, Equatable, Sendable {
        /// By Amazon's schedule, since the message was accepted.
        var dueSeconds: Double
        /// When it was made, by the simulator's own, possibly faster, time.
        var atSeconds: Double
        /// What the skill answered; nil: nothing.
        var status: Int?

        /// "Acknowledged by any success answer."
        var isAcknowledged: Bool { (200..<300).contains(status ?? 0) }
    }

    var requestId: String
    var userId: String
    var region: SimulatedRegion
    var state = State.pending
    var attempts: [Attempt] = []
}

/// How many deliveries stand how, and how many attempts were made.
struct DeliveryCounters: Codable, Equatable, Sendable {
    var pending = 0
    var acknowledged = 0
    var expired = 0
    var attempts = 0
    /// Accepted messages that were not delivered because too many were under way.
    var skipped = 0
    /// Reports that the gateway took as the first of their message, and as later ones; and those that were lost or refused.
    var firstReports = 0
    var laterReports = 0
    var failedReports = 0
}
