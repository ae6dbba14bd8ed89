package import NIOCore

/// The traces of one event loop: decides which requests have one, and hands them on together.
package final class TraceRecorder {
    /// Traces are handed on when there are so many, or so much later than the first of them.
    private static let batch = 64
    private static let longestWait = TimeAmount.milliseconds(200)

    /// Gets traces on the event loop; must not wait.
    package typealias Sink = @Sendable ([RequestTrace]) -> Void

    private let eventLoop: any EventLoop
    private let references: any TraceReferences
    private let wallClock: @Sendable () -> UnixTimestamp
    private let sink: Sink
    private var callerNames: [String]
    private var skillNames: [String]
    private var sampling: TraceSampling?
    private var threshold: UInt64 = 0
    private var spanIDs = SpanIDs(seed: .random(in: 0 ... .max))
    private var finished: [RequestTrace] = []
    /// Links of a trace are waited for.
    private var unlinked = 0
    private var whenLinked: [EventLoopPromise<Void>] = []

    /// - Parameters:
    ///   - callerNames, skillNames: by their labels.
    package init(
        callerNames: [String], skillNames: [String], eventLoop: any EventLoop, references: any TraceReferences,
        wallClock: @escaping @Sendable () -> UnixTimestamp, sink: @escaping Sink
    ) {
        (self.callerNames, self.skillNames, self.eventLoop) = (callerNames, skillNames, eventLoop)
        (self.references, self.wallClock, self.sink) = (references, wallClock, sink)
    }

    func use(callerNames: [String], skillNames: [String]) {
        (self.callerNames, self.skillNames) = (callerNames, skillNames)
    }

    /// - Parameter sampling: nil: no request has a trace.
    func use(_ sampling: TraceSampling?) {
        self.sampling = sampling
        threshold = sampling?.threshold ?? 0
    }

    // MARK: A request begins

    /// Nil for a request that has no trace here.
    ///
    /// - Parameter caller: what its `traceparent` says.
    func begin(_ caller: TraceContext?, at time: NIODeadline) -> ExchangeTrace? {
        guard let sampling else { return nil }
        if let caller {
            let isSampled =
                sampling.isParentBased
                ? caller.isSampled : caller.id.low & TraceSampling.randomBits >= threshold
            guard isSampled else { return nil }
            return ExchangeTrace(caller.id, spanID: spanIDs.next(), parentID: caller.parentID, began: time)
        }
        let low = spanIDs.next()
        guard low & TraceSampling.randomBits >= threshold else { return nil }
        let id = TraceID(high: .random(in: 0 ... .max), low: low)
        return ExchangeTrace(id, spanID: spanIDs.next(), parentID: nil, began: time)
    }

    /// What the request to a region says of the trace, where it is to say anything.
    ///
    /// - Parameters:
    ///   - span: that of the attempt; nil: there is none.
    ///   - caller: what the caller's `traceparent` says.
    func upstreamReference(_ span: SpanReference?, caller: TraceContext?) -> SpanReference? {
        guard sampling?.reachesUpstream == true else { return nil }
        // Whoever makes no span passes on that of its caller.
        return span
            ?? caller.flatMap { caller in
                caller.parentID.map { SpanReference(traceID: caller.id, spanID: $0, isSampled: caller.isSampled) }
            }
    }

    /// The message of a record is being sent.
    func sending(_ trace: ExchangeTrace, _ record: IdempotencyScope, retention: TimeAmount) {
        let span = SpanReference(traceID: trace.id, spanID: trace.spanID, isSampled: true)
        references.remember(span, of: record, for: Duration(retention))
    }

    // MARK: It ends

    /// What there is to be said of a request at its end.
    struct Ending {
        let action: AuditLog.Action
        let labels: ForwardingInstruments.Labels
        let answer: Response
        let peer: Peer
        let requestID: ExchangeID
        let contentBytes: Int
    }

    func finish(_ trace: ExchangeTrace, _ ending: Ending) {
        let now = eventLoop.now
        trace.end(now: now)
        let labels = ending.labels
        // What nobody has authenticated makes no traces.
        guard labels.caller != nil || !trace.linkedRecords.isEmpty else { return }
        let duration = now - trace.began
        var problem: Problem?
        if case .refusal(let refusal) = ending.answer.content { problem = refusal.problem }
        var finished = RequestTrace(
            action: ending.action, traceID: trace.id, spanID: trace.spanID, parentID: trace.parentID,
            began: wallClock() + Duration.nanoseconds(-duration.nanoseconds), duration: duration,
            steps: trace.steps, version: ending.peer.version, isSecure: ending.peer.isSecure,
            clientAddress: ending.peer.addressText,
            caller: Self.name(labels.caller, in: callerNames), skill: Self.name(labels.skill, in: skillNames),
            region: labels.region, keySource: labels.keySource, requestID: ending.requestID.text,
            record: trace.record?.hexadecimal, status: ending.answer.status, source: ending.answer.source,
            problem: problem, contentBytes: ending.contentBytes)
        guard !trace.linkedRecords.isEmpty else { return append(finished) }
        let spans = trace.linkedRecords.map { record in
            let promise = eventLoop.makePromise(of: SpanReference?.self)
            references.find(record) { promise.succeed($0) }
            return promise.futureResult
        }
        unlinked += 1
        EventLoopFuture.whenAllSucceed(spans, on: eventLoop).assumeIsolated().whenSuccess { spans in
            finished.links = spans.compactMap { $0 }
            self.append(finished)
            self.unlinked -= 1
            self.tellIfLinked()
        }
    }

    private static func name(_ label: Int?, in names: [String]) -> String? {
        label.flatMap { names.indices.contains($0) ? names[$0] : nil }
    }

    private func append(_ trace: RequestTrace) {
        if finished.isEmpty {
            eventLoop.assumeIsolated().scheduleTask(in: Self.longestWait) { self.flush() }
        }
        finished.append(trace)
        if finished.count >= Self.batch { flush() }
    }

    private func flush() {
        guard !finished.isEmpty else { return }
        sink(finished)
        finished = []
    }

    /// Hands on what there is; succeeds when that is done.
    func close() -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        whenLinked.append(promise)
        tellIfLinked()
        return promise.futureResult
    }

    private func tellIfLinked() {
        guard unlinked == 0, !whenLinked.isEmpty else { return }
        flush()
        for promise in whenLinked { promise.succeed() }
        whenLinked = []
    }
}
