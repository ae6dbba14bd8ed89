package import GatewayCore
package import NIOCore

/// Records in memory that are written down as they change, as one event loop sees them. Bound to it.
///
/// A claim is in the file before anybody learns that it was made, and a settlement before its caller is answered. What could not be
/// written is handled as with a server that cannot be reached: a claim is refused, or made in memory alone; a settlement
/// is written later, and until then reads after a restart as a message whose outcome is not known.
package final class FileIdempotencyStore: IdempotencyStore {
    package enum WhenUnavailable: Sendable {
        /// Nothing is sent.
        case refuse
        /// Messages are sent, and a restart forgets them.
        case forward
    }

    /// What was not written down is tried again after so long.
    private static let pause = TimeAmount.milliseconds(250)
    private static let longestPause = TimeAmount.seconds(4)
    /// Each message in flight leaves at most one behind; this is more than a loop has in flight in an outage.
    static let backlogLimit = 10_000

    private let files: RecordFiles
    private let memory: MemoryIdempotencyStore
    private let log: RecordLog
    private let whenUnavailable: WhenUnavailable
    private let eventLoop: any EventLoop
    private let sync: GroupSync?
    /// The last change of each record that the file has otherwise.
    private var backlog: [IdempotencyScope: RecordChange] = [:]
    /// By label, as entries have them.
    private var callers: [UInt32] = []
    private var isTimerSet = false
    private var isShutDown = false
    /// Before the next try; longer from one to the next, as each may leave a file behind.
    private var currentPause = FileIdempotencyStore.pause
    private var clock: (offset: Int64, validUntil: NIODeadline) = (0, .uptimeNanoseconds(0))
    private var failures: [SharedStoreStatistics.Operation: Int] = [:]
    /// Why nothing could be written; nil once something was.
    package private(set) var trouble: DiskError?
    private let onTrouble: (DiskError?) -> Void

    /// - Parameters:
    ///   - stream: unique among the event loops of the process.
    ///   - onTrouble: told when nothing can be written, and nil when something can be again.
    package init(
        _ files: RecordFiles, stream: Int, whenUnavailable: WhenUnavailable, eventLoop: any EventLoop,
        onTrouble: @escaping (DiskError?) -> Void = { _ in }
    ) {
        self.onTrouble = onTrouble
        self.files = files
        memory = files.memory
        log = files.makeLog(stream: stream)
        self.whenUnavailable = whenUnavailable
        self.eventLoop = eventLoop
        sync = files.outlivesMachine ? GroupSync(log, of: files, eventLoop) : nil
    }

    /// - Parameter callers: their ids, by label.
    package func use(callers: [String]) { self.callers = callers.map(RecordFiles.hash(ofCaller:)) }

    package var kind: StoreKind { .file }
    package var isUp: Bool { trouble == nil }

    package var statistics: SharedStoreStatistics {
        var statistics = SharedStoreStatistics()
        statistics.failures = failures
        statistics.backlog = backlog.count
        statistics.isFull = trouble?.isFull ?? false
        return statistics
    }

    /// Nothing is written any more.
    package func shutDown() {
        writeBacklog()
        isShutDown = true
        log.end()
        try? log.takeUnsynced().sync(on: files.segments.disk)
    }

    // MARK: Claim

    package func claim(
        _ claim: IdempotencyClaim, now: NIODeadline, on eventLoop: any EventLoop
    ) -> Eventual<ClaimReply> {
        var change: RecordChange?
        let outcome = memory.claim(claim, now: now, noting: &change)
        guard let change else { return .now(ClaimReply(outcome, .file)) }
        do throws(DiskError) {
            try write(change)
        } catch {
            return .now(notWritten(change))
        }
        guard let sync else { return .now(ClaimReply(outcome, .file)) }
        let promise = eventLoop.makePromise(of: ClaimReply.self)
        sync.whenSynced { error in
            self.note(error)
            promise.succeed(error == nil ? ClaimReply(outcome, .file) : self.notSynced(change))
        }
        return .later(promise.futureResult)
    }

    private func notWritten(_ change: RecordChange) -> ClaimReply {
        failures[.claim, default: 0] += 1
        if case .forward = whenUnavailable {
            writeLater(change)
            return ClaimReply(.owned, .memory)
        }
        for waiter in memory.takeBack(change) { waiter.succeed(nil) }
        return ClaimReply(.storeUnavailable, .file)
    }

    /// The claim is in the file, and may be there after a restart: that it was taken back is written, too. If that fails as well, the
    /// message reads as one whose outcome is not known.
    private func notSynced(_ change: RecordChange) -> ClaimReply {
        let reply = notWritten(change)
        if backlog.count < Self.backlogLimit / 2 { writeLater(change) }
        return reply
    }

    // MARK: Settle

    package func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement, result: AttemptResult, now: NIODeadline,
        on eventLoop: any EventLoop
    ) -> Eventual<SettlementReply> {
        var change: RecordChange?
        let (found, waiters) = memory.settle(claim, settlement, now: now, noting: &change)
        func tell(_ reply: SettlementReply) -> SettlementReply {
            for waiter in waiters { waiter.succeed(result.settled(reply)) }
            return reply
        }
        // Then nothing was changed, nor written down.
        if let found { return .now(tell(.accepted(found))) }
        return writeDown(change, tell)
    }

    /// - Parameter tell: tells those who wait, and returns its argument. They are told what is in the file, like the caller of
    ///   this attempt.
    private func writeDown(
        _ change: RecordChange?, _ tell: @escaping (SettlementReply) -> SettlementReply
    ) -> Eventual<SettlementReply> {
        guard let change else { return .now(tell(.confirmed)) }
        do throws(DiskError) {
            try write(change)
        } catch {
            return .now(tell(settleLater(change)))
        }
        guard let sync else { return .now(tell(.confirmed)) }
        let promise = eventLoop.makePromise(of: SettlementReply.self)
        sync.whenSynced { error in
            self.note(error)
            promise.succeed(tell(error == nil ? .confirmed : self.settleLater(change)))
        }
        return .later(promise.futureResult)
    }

    private func settleLater(_ change: RecordChange) -> SettlementReply {
        failures[.settle, default: 0] += 1
        writeLater(change)
        return .pending
    }

    // MARK: Receipts

    package func receive(_ receipt: Receipt, on eventLoop: any EventLoop) -> Eventual<ReceiptOutcome?> {
        var change: RecordChange?
        let (outcome, waiters) = memory.receive(receipt, now: eventLoop.now, noting: &change)
        // As with a settlement: told once it is in the file, and written later if it cannot be now.
        let reply = writeDown(change) { reply in
            let result = AttemptResult.provenByReceipt(at: receipt.receivedAt).settled(reply)
            for waiter in waiters { waiter.succeed(result) }
            return reply
        }
        switch reply {
        case .now: return .now(outcome)
        case .later(let future): return .later(future.map { _ in outcome })
        }
    }

    // MARK: Writing

    private func write(_ change: RecordChange) throws(DiskError) {
        do throws(DiskError) {
            try log.append(files.entry(of: change, clockOffset: clockOffset(), callers))
        } catch {
            note(error)
            throw error
        }
        // What is only written is not yet what was promised.
        if sync == nil { note(nil) }
    }

    /// Asked for once in a while: reading two clocks for each entry would cost more than writing it down.
    private func clockOffset() -> Int64 {
        let now = eventLoop.now
        if clock.validUntil <= now {
            clock = (files.clockOffset(now: now), now + TimeAmount.milliseconds(10))
        }
        return clock.offset
    }

    private func note(_ error: DiskError?) {
        guard error != nil || trouble != nil else { return }
        if error == nil || trouble == nil { currentPause = Self.pause }
        trouble = error
        onTrouble(error)
        setTimer()
    }

    private func writeLater(_ change: RecordChange) {
        if backlog.count >= Self.backlogLimit && backlog[change.scope] == nil {
            failures[.settleGivenUp, default: 0] += 1
            return
        }
        backlog[change.scope] = change
        setTimer()
    }

    private func setTimer() {
        guard !isTimerSet, !isShutDown, !backlog.isEmpty || trouble != nil else { return }
        isTimerSet = true
        eventLoop.assumeIsolated().scheduleTask(in: currentPause) {
            self.isTimerSet = false
            self.currentPause = min(2 * self.currentPause, Self.longestPause)
            if self.backlog.isEmpty { self.probe() } else { self.writeBacklog() }
            self.setTimer()
        }
    }

    /// Whether the trouble is over: without it, nobody would notice before the next message.
    private func probe() {
        guard trouble != nil, !isShutDown else { return }
        do throws(DiskError) { try log.probe(number: memory.takeNumber()) } catch { return note(error) }
        guard let sync else { return note(nil) }
        sync.whenSynced { self.note($0) }
    }

    /// Each record as it is by now.
    private func writeBacklog() {
        var written: [(scope: IdempotencyScope, number: UInt64)] = []
        for (scope, change) in backlog {
            do throws(DiskError) {
                if let current = memory.currentChange(after: change) { try write(current) }
                written.append((scope, change.number))
            } catch {
                failures[.settleAgain, default: 0] += 1
                break
            }
        }
        guard !written.isEmpty else { return }
        guard let sync else { return forget(written) }
        sync.whenSynced { error in
            self.note(error)
            if error == nil { self.forget(written) } else { self.failures[.settleAgain, default: 0] += 1 }
        }
    }

    /// They are in the file, unless they have changed since.
    private func forget(_ written: [(scope: IdempotencyScope, number: UInt64)]) {
        for (scope, number) in written where backlog[scope]?.number == number { backlog[scope] = nil }
    }

    // MARK: Other

    package func prefetch(_ scope: IdempotencyScope) { memory.prefetch(scope) }

    package func acceptedResponse(to claim: IdempotencyClaim, now: NIODeadline) -> AcceptedResponse? {
        memory.acceptedResponse(to: claim, now: now)
    }

    package func resultOfAttemptInFlight(
        _ claim: IdempotencyClaim, on eventLoop: any EventLoop
    ) -> Eventual<AttemptResult?> {
        guard case .later(let result) = memory.resultOfAttemptInFlight(claim, on: eventLoop) else { return .now(nil) }
        var left = Duration.zero
        if case .now(let report?) = memory.report(on: claim.scope, on: eventLoop),
            case .inFlight(let rest) = report.state
        {
            left = rest
        }
        // An attempt of an earlier process ends with its lease, and nobody says so.
        let promise = eventLoop.makePromise(of: AttemptResult?.self)
        let end = eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(left)) {
            for waiter in self.memory.takeWaiters(for: claim.scope) { waiter.succeed(nil) }
        }
        result.assumeIsolated().whenComplete { result in
            end.cancel()
            promise.completeWith(result)
        }
        return .later(promise.futureResult)
    }

    package func report(on scope: IdempotencyScope, on eventLoop: any EventLoop) -> Eventual<KeyReport?> {
        memory.report(on: scope, on: eventLoop)
    }
}
