public import NIOCore

/// How many messages may be in flight to a region at once: fewer once it has said that they are too many, or was too
/// slow to say anything, and more again, one by one, while it answers.
///
/// Additive increase, multiplicative decrease, as TCP has it (RFC 5681). Pure: time is passed in.
public struct InFlightLimit: Sendable {
    public struct Configuration: Equatable, Sendable {
        public var isAdaptive = true
        public var minimum = 4
        /// What is left of the limit after a decrease.
        public var decrease = 0.7
        /// Answers to what was sent before a decrease say nothing about the new limit.
        public var pause = TimeAmount.milliseconds(200)

        public init() {}
    }

    private let configuration: Configuration
    private let maximum: Int
    private var limit: Double
    private var nextDecrease = NIODeadline.distantPast

    /// - Parameter maximum: the limit of a region that never complains.
    public init(maximum: Int, _ configuration: Configuration = Configuration()) {
        self.maximum = maximum
        self.configuration = configuration
        limit = Double(maximum)
    }

    public var current: Int { Int(limit) }
    public var isReduced: Bool { current < maximum }

    /// Whether an answer of this status says that the region has too much to do.
    public static func isOverload(status: Int) -> Bool { status == 429 || status == 503 }

    /// The region was overloaded, with so many messages in flight.
    public mutating func overloaded(inFlight: Int, now: NIODeadline) {
        guard configuration.isAdaptive, now >= nextDecrease else { return }
        nextDecrease = now + configuration.pause
        // From what there really was: a limit that nobody had come near says nothing.
        let from = min(limit, Double(max(inFlight, configuration.minimum)))
        limit = max(Double(min(configuration.minimum, maximum)), from * configuration.decrease)
    }

    /// The region answered, with so many messages in flight.
    public mutating func answered(inFlight: Int) {
        // Raised only while it is in the way: by one for each round of answers.
        guard isReduced, inFlight + 1 >= current else { return }
        limit = min(Double(maximum), limit + 1 / limit)
    }
}
