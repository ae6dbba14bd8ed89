public import NIOCore

/// Whether messages may be sent to a region: not while it neither takes connections nor answers.
///
/// Opens on connections that fail and answers that do not come, never on an answer, whatever its status. What finds out
/// whether the region is back is a bare connection, not a message. Pure: time is passed in.
public struct CircuitBreaker: Sendable {
    public struct Configuration: Equatable, Sendable {
        public var isEnabled = true
        /// So many failures without an answer in between open the circuit …
        public var failuresInARow = 5
        /// … and so do failures that are half of at least so many outcomes …
        public var outcomes = 20
        /// … in so long, counted from a failure on.
        public var window = TimeAmount.seconds(10)
        /// The first pause before a connection is tried; doubles each time the circuit opens without an answer in
        /// between.
        public var firstPause = TimeAmount.seconds(1)
        public var longestPause = TimeAmount.seconds(30)

        public init() {}
    }

    /// The raw value is that of `skillgate_circuit_state`.
    public enum State: Int, Sendable {
        /// Messages are sent. Can transition to: open.
        case closed = 0
        /// A connection is being tried. Can transition to: closed, open.
        case halfOpen = 1
        /// Nothing is sent, and nothing tried. Can transition to: halfOpen.
        case open = 2
    }

    private let configuration: Configuration
    public private(set) var state = State.closed
    private var probeDue = NIODeadline.distantPast
    /// How often it opened since the last answer.
    private var openings = 0
    private var failuresInARow = 0
    private var windowStart = NIODeadline.distantPast
    private var windowFailures = 0
    private var windowAnswers = 0

    public init(_ configuration: Configuration = Configuration()) {
        self.configuration = configuration
    }

    public var isClosed: Bool { state == .closed }

    /// An answer came, of whatever status.
    public mutating func answered() {
        // Nearly always there is nothing to remember.
        guard failuresInARow > 0 || windowFailures > 0 || openings > 0 else { return }
        failuresInARow = 0
        openings = 0
        windowAnswers += 1
    }

    /// A connection failed, or an answer did not come.
    ///
    /// - Returns: whether that opened the circuit.
    public mutating func failed(now: NIODeadline) -> Bool {
        guard configuration.isEnabled else { return false }
        switch state {
        case .open: return false
        case .halfOpen:
            open(now: now)
            return true
        case .closed: break
        }
        if now - windowStart > configuration.window {
            (windowStart, windowFailures, windowAnswers) = (now, 0, 0)
        }
        failuresInARow += 1
        windowFailures += 1
        let outcomes = windowFailures + windowAnswers
        guard
            failuresInARow >= configuration.failuresInARow
                || (outcomes >= configuration.outcomes && windowFailures * 2 >= outcomes)
        else { return false }
        open(now: now)
        return true
    }

    /// Whether it is time to try a connection; if so, one is taken to be tried from now on.
    public mutating func beginProbe(now: NIODeadline) -> Bool {
        guard state == .open, now >= probeDue else { return false }
        state = .halfOpen
        return true
    }

    /// A connection came about.
    ///
    /// - Returns: whether that closed the circuit.
    public mutating func connected() -> Bool {
        guard state != .closed else { return false }
        state = .closed
        failuresInARow = 0
        (windowFailures, windowAnswers) = (0, 0)
        return true
    }

    /// How long until messages may be sent again, at the earliest.
    public func retryAfter(now: NIODeadline) -> Duration {
        Duration(from: now, to: max(now, probeDue))
    }

    private mutating func open(now: NIODeadline) {
        state = .open
        // The shift is bounded: the pause stops growing long before.
        let pause = configuration.firstPause * (1 << min(openings, 16))
        probeDue = now + min(pause, configuration.longestPause)
        openings += 1
    }
}
