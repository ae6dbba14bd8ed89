package import NIOCore

/// How many messages may be in flight at once: fewer once the other side has said that they are too many, or was too slow
/// to say anything, and more again while it answers.
///
/// Multiplicative decrease and additive increase, as TCP has it (RFC 5681); behind a while without complaints it doubles
/// every second. Pure: time is passed in.
package struct InFlightLimit: Sendable {
    package struct Configuration: Equatable, Sendable {
        package var isAdaptive = true
        package var minimum = 4
        /// What is left of the limit after a decrease.
        var decrease = 0.7
        /// Answers to what was sent before a decrease say nothing about the new limit.
        package var pause = TimeAmount.milliseconds(200)
        /// Fewer outcomes than these in `window` say nothing: two time-outs on an idle region are no overload.
        var minimumOutcomes = 10
        /// So many of a hundred outcomes have to be complaints.
        var minimumPercentage = 10
        package var window = TimeAmount.seconds(10)
        /// Without a complaint for so long, the limit doubles, and again after every further one.
        var recovery = TimeAmount.seconds(1)

        package init() {}
    }

    private let configuration: Configuration
    private let maximum: Int
    private var limit: Double
    private var nextDecrease = NIODeadline.distantPast
    private var nextDoubling = NIODeadline.distantPast
    private var windowStart = NIODeadline.distantPast
    private var outcomes = 0
    private var complaints = 0

    /// - Parameter maximum: the limit where nobody ever complains.
    init(maximum: Int, _ configuration: Configuration = Configuration()) {
        self.maximum = maximum
        self.configuration = configuration
        limit = Double(maximum)
    }

    var current: Int { Int(limit) }
    var isReduced: Bool { current < maximum }
    /// Whether `answered` has to be told of answers, which costs a look at a clock.
    var isWatching: Bool { complaints > 0 || isReduced }

    /// There was a complaint about so many messages in flight.
    mutating func overloaded(inFlight: Int, now: NIODeadline) {
        guard configuration.isAdaptive else { return }
        count(now: now)
        complaints += 1
        nextDoubling = now + configuration.recovery
        guard now >= nextDecrease, outcomes >= configuration.minimumOutcomes,
            complaints * 100 >= outcomes * configuration.minimumPercentage
        else { return }
        nextDecrease = now + configuration.pause
        // From what there really was: a limit that nobody had come near says nothing.
        let from = min(limit, Double(max(inFlight, configuration.minimum)))
        limit = max(Double(min(configuration.minimum, maximum)), from * configuration.decrease)
    }

    /// An answer came without a complaint, with so many messages in flight.
    mutating func answered(inFlight: Int, now: NIODeadline) {
        count(now: now)
        guard isReduced else { return }
        if now >= nextDoubling {
            limit = min(Double(maximum), limit * 2)
            nextDoubling = now + configuration.recovery
        } else if inFlight + 1 >= current {
            // Raised only while it is in the way: by one for each round of answers.
            limit = min(Double(maximum), limit + 1 / limit)
        }
    }

    /// As few as there may be, until answers come: the other side has not answered at all of late.
    mutating func collapse(now: NIODeadline) {
        guard configuration.isAdaptive else { return }
        limit = Double(min(configuration.minimum, maximum))
        nextDoubling = now + configuration.recovery
    }

    private mutating func count(now: NIODeadline) {
        if now - windowStart > configuration.window { (windowStart, outcomes, complaints) = (now, 0, 0) }
        outcomes += 1
    }
}
