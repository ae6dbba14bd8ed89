import NIOCore

/// Messages that were sent and whose outcome is unknown, on one event loop: those that are unknown still after a while are reported.
final class UnknownOutcomes {
    /// One of them.
    final class Message {
        fileprivate let scope: IdempotencyScope?
        private let fingerprints: [RequestFingerprint]
        fileprivate let reference: MessageReference
        fileprivate let problem: Problem
        fileprivate var due: NIODeadline
        /// Amazon has accepted it after all.
        var isKnown = false
        /// Its record could not be read so many times.
        fileprivate var failedReads = 0

        init(_ claim: IdempotencyClaim?, _ reference: MessageReference, _ problem: Problem, due: NIODeadline) {
            scope = claim?.scope
            fingerprints = claim.map { [$0.fingerprint] + $0.otherFingerprints } ?? []
            self.reference = reference
            self.problem = problem
            self.due = due
        }

        /// - Parameter report: nil: its record cannot be read.
        fileprivate func state(by report: KeyReport?) -> State {
            guard let report else { return scope == nil ? .unknown : .unreadable }
            // A record that is gone, or is another's by now, says nothing.
            guard let fingerprint = report.fingerprint, fingerprints.contains(fingerprint) else { return .unknown }
            switch report.state {
            case .inFlight(let left): return .beingResent(left: left)
            case .unknown, .absent: return .unknown
            case .accepted: return .known
            }
        }

        fileprivate enum State {
            case known
            case unknown
            /// With consent, in the hands of another attempt for so long at most.
            case beingResent(left: Duration)
            case unreadable
        }
    }

    static let limit = 10_000
    /// Messages are looked at together with those that come so soon after them.
    private static let step = TimeAmount.seconds(1)
    /// A store that is away is asked again, so many times.
    private static let pauseAfterFailedRead = TimeAmount.seconds(15)
    private static let mostFailedReads = 20

    private let store: any IdempotencyStore
    private let eventLoop: any EventLoop
    private let onAged: (MessageReference, Problem) -> Void
    private var waiting = FairBuffer<String, Message>()
    private var isTimerSet = false
    private var isEnding = false
    private lazy var checks = RecordChecks<Message>(
        store, on: eventLoop, scope: { $0.isKnown ? nil : $0.scope }, read: { [weak self] in self?.read($0, $1) })

    /// - Parameter onAged: called for those of which nothing is known still.
    init(
        _ store: any IdempotencyStore, on eventLoop: any EventLoop,
        onAged: @escaping (MessageReference, Problem) -> Void
    ) {
        (self.store, self.eventLoop, self.onAged) = (store, eventLoop, onAged)
    }

    /// Of too many, the oldest of the caller with the most is looked at early.
    func add(_ message: Message) {
        waiting.append(message, of: message.reference.caller)
        if waiting.count > Self.limit, let displaced = waiting.removeOldestOfLargest() { checks.begin([displaced]) }
        setTimer()
    }

    /// Looks at all of them now: the process ends. Succeeds when that is done.
    func checkAll() -> EventLoopFuture<Void> {
        isEnding = true
        checks.begin(waiting.removeAll { _ in true })
        return checks.done()
    }

    /// Those that it is not known of yet.
    var count: Int { waiting.count + checks.count }

    private func setTimer() {
        guard !isTimerSet, !waiting.isEmpty else { return }
        isTimerSet = true
        eventLoop.assumeIsolated().scheduleTask(in: Self.step) { [weak self] in
            guard let self else { return }
            isTimerSet = false
            let now = eventLoop.now
            checks.begin(waiting.removeAll { $0.due <= now })
            setTimer()
        }
    }

    private func read(_ message: Message, _ report: KeyReport?) {
        if message.isKnown { return }
        switch message.state(by: report) {
        case .known: break
        case .beingResent(let left) where !isEnding: lookAgain(at: message, in: TimeAmount(left))
        case .unreadable where !isEnding && message.failedReads < Self.mostFailedReads:
            message.failedReads += 1
            lookAgain(at: message, in: Self.pauseAfterFailedRead)
        case .unknown, .beingResent, .unreadable: onAged(message.reference, message.problem)
        }
    }

    private func lookAgain(at message: Message, in pause: TimeAmount) {
        // It displaces nobody who has not been looked at.
        guard waiting.count < Self.limit else { return onAged(message.reference, message.problem) }
        message.due = eventLoop.now + pause
        add(message)
    }
}
