import NIOCore

/// Messages that were sent and whose outcome is unknown, on one event loop: of those of which nobody has found out since,
/// a machine is told after a while.
final class UnknownOutcomes {
    /// One of them.
    final class Message {
        let scope: IdempotencyScope?
        let fingerprints: [RequestFingerprint]
        let reference: MessageReference
        let problem: Problem
        let due: NIODeadline
        /// Amazon has answered after all.
        var isKnown = false

        init(
            _ claim: IdempotencyClaim?, _ reference: MessageReference, _ problem: Problem, due: NIODeadline
        ) {
            scope = claim?.scope
            fingerprints = claim.map { [$0.fingerprint] + $0.otherFingerprints } ?? []
            self.reference = reference
            self.problem = problem
            self.due = due
        }
    }

    static let limit = 10_000
    /// Messages are looked at together with those that come so soon after them.
    private static let step = TimeAmount.seconds(1)

    private let eventLoop: any EventLoop
    private let checks: RecordChecks<Message>
    private var waiting = FairBuffer<String, Message>(limit: limit)
    private var isTimerSet = false

    /// - Parameter onAged: called for those of which nothing is known still.
    init(
        _ store: any IdempotencyStore, on eventLoop: any EventLoop,
        onAged: @escaping (MessageReference, Problem) -> Void
    ) {
        self.eventLoop = eventLoop
        checks = RecordChecks(store, on: eventLoop, scope: { $0.isKnown ? nil : $0.scope })
        checks.read = { if $0.isUnknown(by: $1) { onAged($0.reference, $0.problem) } }
    }

    /// Of too many, the oldest of the caller with the most are told of at once.
    func add(_ message: Message) {
        if let displaced = waiting.append(message, of: message.reference.caller) { checks.begin([displaced]) }
        setTimer()
    }

    /// Looks at all of them now: the process ends. Returns when that is done.
    func lookNow() -> EventLoopFuture<Void> {
        checks.begin(waiting.removeAll { _ in true })
        return checks.done()
    }

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
}

extension UnknownOutcomes.Message {
    /// - Parameter report: on its record; nil if it has none, or if that cannot be read.
    fileprivate func isUnknown(by report: KeyReport?) -> Bool {
        if isKnown { return false }
        guard let report, let fingerprint = report.fingerprint, fingerprints.contains(fingerprint) else { return true }
        // Of one that is being sent again with consent, its own attempt will tell.
        return report.state == .unknown
    }
}
