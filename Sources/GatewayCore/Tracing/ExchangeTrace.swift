import NIOCore

/// Records what one request waits for. Made only for those that have a trace.
final class ExchangeTrace {
    let id: TraceID
    let spanID: UInt64
    let parentID: UInt64?
    let began: NIODeadline
    private var spanIDs: SpanIDs
    private(set) var steps: [RequestTrace.Step] = []
    private var isInStep = false
    private var attempts = 0
    /// Records of the messages that it repeats or reports.
    private(set) var linkedRecords: [IdempotencyScope] = []
    /// That of the message itself.
    var record: IdempotencyScope?

    init(_ id: TraceID, spanID: UInt64, parentID: UInt64?, began: NIODeadline) {
        (self.id, self.spanID, self.parentID, self.began) = (id, spanID, parentID, began)
        spanIDs = SpanIDs(seed: spanID)
    }

    /// The next thing begins, and whatever was going on has ended.
    func begin(_ kind: RequestTrace.Step.Kind, _ region: Region?, now: NIODeadline) {
        end(now: now)
        isInStep = true
        steps.append(
            RequestTrace.Step(
                kind: kind, spanID: spanIDs.next(), region: region, began: now - began, ended: now - began))
    }

    func end(now: NIODeadline) {
        guard isInStep else { return }
        isInStep = false
        steps[steps.count - 1].ended = now - began
    }

    /// Each is looked up, so that one request must not name any number.
    private static let mostLinks = 16

    func addLink(to record: IdempotencyScope) {
        guard linkedRecords.count < Self.mostLinks, !linkedRecords.contains(record) else { return }
        linkedRecords.append(record)
    }

    func claimed(_ reply: ClaimReply) {
        guard case .claim? = steps.last?.kind else { return }
        steps[steps.count - 1].kind = .claim(
            reply.store, outcome: ForwardingInstruments.ClaimOutcomeLabel(reply.outcome))
    }

    // MARK: Attempts

    /// - Returns: what the upstream request says of the trace.
    func beginAttempt(to region: Region, now: NIODeadline) -> SpanReference {
        begin(.send(RequestTrace.Attempt(resends: attempts)), region, now: now)
        return SpanReference(traceID: id, spanID: steps[steps.count - 1].spanID, isSampled: true)
    }

    func sent(_ reason: ForwardingInstruments.AttemptReason) {
        attempts += 1
        change { $0.reason = reason }
    }

    func responded(_ answer: UpstreamResponse) {
        change { ($0.status, $0.requestID) = (answer.status, answer.requestID) }
    }

    func failed(_ failure: UpstreamFailure) { change { $0.failure = failure } }

    private func change(_ body: (inout RequestTrace.Attempt) -> Void) {
        guard case .send(var attempt)? = steps.last?.kind else { return }
        body(&attempt)
        steps[steps.count - 1].kind = .send(attempt)
    }
}
