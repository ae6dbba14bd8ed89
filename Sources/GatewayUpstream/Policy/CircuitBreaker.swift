import GatewayCore
package import NIOCore

/// Whether messages may be sent to a region: not while it neither takes connections nor answers.
///
/// Opens on connections that fail and answers that do not come, never on an answer, whatever its status. What finds out
/// whether the region is back is a harmless request on a connection of its own, not a message, whose outcome would be unknown
/// if it is not. Pure: time is passed in.
package struct CircuitBreaker: Sendable {
    package struct Configuration: Equatable, Sendable {
        package var isEnabled = true
        /// So many failures without an answer in between open the circuit …
        package var failuresInARow = 5
        /// … and so do failures that are half of at least so many outcomes …
        package var outcomes = 20
        /// … in so long, counted from a failure on.
        package var window = TimeAmount.seconds(10)
        /// The first pause before a probe; doubles with each probe that is not answered.
        package var firstPause = TimeAmount.seconds(1)
        package var longestPause = TimeAmount.seconds(30)

        package init() {}
    }

    private let configuration: Configuration
    private(set) var state = CircuitState.closed
    /// While open: when to probe. While half-open behind an answered probe: when to close.
    private var nextChange = NIODeadline.distantPast
    private var isProbing = false
    /// Probes in a row that were not answered.
    private var failedProbes = 0
    /// How often a probe closed it since a message was answered last.
    private var closings = 0
    private var failuresInARow = 0
    private var windowStart = NIODeadline.distantPast
    private var windowFailures = 0
    private var windowAnswers = 0

    init(_ configuration: Configuration = Configuration()) {
        self.configuration = configuration
    }

    var isClosed: Bool { state == .closed }

    /// An answer to a message came, of whatever status.
    mutating func answered() {
        // Nearly always there is nothing to remember.
        guard failuresInARow > 0 || windowFailures > 0 || closings > 0 || state == .open else { return }
        failuresInARow = 0
        closings = 0
        windowAnswers += 1
        // Sent before it opened, and proof that somebody is there: worth a probe at once, and no more.
        if state == .open { nextChange = .distantPast }
    }

    /// A connection failed, or an answer to a message did not come.
    ///
    /// - Returns: whether that opened the circuit.
    mutating func failed(now: NIODeadline) -> Bool {
        guard configuration.isEnabled, state == .closed else { return false }
        if now - windowStart > configuration.window {
            (windowStart, windowFailures, windowAnswers) = (now, 0, 0)
        }
        failuresInARow += 1
        windowFailures += 1
        let outcomes = windowFailures + windowAnswers
        guard
            // A region that has answered a probe and no message since is not given five more messages to lose.
            closings > 0 || failuresInARow >= configuration.failuresInARow
                || (outcomes >= configuration.outcomes && windowFailures * 2 >= outcomes)
        else { return false }
        open(now: now)
        return true
    }

    enum Change: Equatable, Sendable {
        case probe
        case close
    }

    /// What is due now; a probe is taken to be under way from now on.
    mutating func timePassed(now: NIODeadline) -> Change? {
        guard now >= nextChange else { return nil }
        switch state {
        case .closed: return nil
        case .open:
            state = .halfOpen
            isProbing = true
            return .probe
        case .halfOpen:
            guard !isProbing else { return nil }
            close()
            return .close
        }
    }

    /// The probe was answered, with whatever status.
    ///
    /// - Returns: whether that closed the circuit.
    mutating func probeAnswered(now: NIODeadline) -> Bool {
        guard state == .halfOpen, isProbing else { return false }
        isProbing = false
        failedProbes = 0
        guard closings == 0 else {
            // It did answer probes before, and then no message.
            nextChange = now + pause(after: closings)
            return false
        }
        close()
        return true
    }

    /// The probe was not answered.
    mutating func probeFailed(now: NIODeadline) {
        guard state == .halfOpen, isProbing else { return }
        failedProbes += 1
        open(now: now)
    }

    /// How long until messages may be sent again, at the earliest.
    func retryAfter(now: NIODeadline) -> Duration {
        Duration(from: now, to: max(now, nextChange))
    }

    private mutating func close() {
        state = .closed
        closings += 1
        failuresInARow = 0
        (windowFailures, windowAnswers) = (0, 0)
    }

    private mutating func open(now: NIODeadline) {
        state = .open
        isProbing = false
        nextChange = now + pause(after: failedProbes)
    }

    private func pause(after failures: Int) -> TimeAmount {
        // The shift is bounded: the pause stops growing long before.
        min(configuration.firstPause * (1 << min(failures, 16)), configuration.longestPause)
    }
}
