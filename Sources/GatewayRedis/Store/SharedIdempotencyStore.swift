package import GatewayCore
package import NIOCore

/// Records on a server that many gateways share, and what to do while it cannot be reached. Bound to one event loop.
///
/// The server is asked once for each step and never waited for long. What it has not confirmed is settled again in the
/// background (`SettlementBacklog`); duplicates of a message that another gateway is sending are waited for by asking
/// again at intervals.
package final class SharedIdempotencyStore: IdempotencyStore {
    package enum WhenUnavailable: Sendable {
        /// Nothing is sent.
        case refuse
        /// Messages are sent, and deduplicated by this process alone.
        case forward(MemoryIdempotencyStore)
    }

    /// The scope alone will not do: released meanwhile, it may have gone to another message.
    private struct WaitedFor: Hashable {
        var scope: IdempotencyScope
        var fingerprint: RequestFingerprint

        init(_ claim: IdempotencyClaim) {
            (scope, fingerprint) = (claim.scope, claim.fingerprint)
        }
    }

    /// Duplicates that wait for one attempt; asked for once for all of them.
    private struct Waiting {
        var promises: [EventLoopPromise<AttemptResult?>]
        var pause: Duration
        var until: NIODeadline
    }

    private static let firstPause = Duration.milliseconds(20)
    private static let longestPause = Duration.milliseconds(250)
    /// A server that had no room is called full for so long.
    private static let fullFor = TimeAmount.seconds(30)

    package let kind: StoreKind
    private let server: any IdempotencyRecordClient
    private let eventLoop: any EventLoop
    private let whenUnavailable: WhenUnavailable
    private let random: () -> Double
    private let backlog: SettlementBacklog
    private var waiting: [WaitedFor: Waiting] = [:]
    /// Attempts that the process alone deduplicates, by their number.
    private var ownedLocally: Set<UInt64> = []
    private var failures: [SharedStoreStatistics.Operation: Int] = [:]
    private var fullUntil = NIODeadline.distantPast

    /// - Parameter random: from 0 up to 1, for jitter.
    package init(
        _ kind: StoreKind, on server: any IdempotencyRecordClient, whenUnavailable: WhenUnavailable,
        eventLoop: any EventLoop, random: @escaping () -> Double = { Double.random(in: 0..<1) }
    ) {
        self.kind = kind
        self.server = server
        self.whenUnavailable = whenUnavailable
        self.eventLoop = eventLoop
        self.random = random
        backlog = SettlementBacklog(server: server, eventLoop: eventLoop, random: random)
        server.onAvailable = { [unowned backlog] in backlog.serverAvailable() }
    }

    package var statistics: SharedStoreStatistics {
        var statistics = SharedStoreStatistics()
        statistics.failures = failures
        statistics.failures[.settleAgain] = backlog.failures
        statistics.failures[.settleGivenUp] = backlog.givenUp
        statistics.backlog = backlog.count
        statistics.isFull = fullUntil > eventLoop.now
        return statistics
    }

    // MARK: Claim

    package func claim(
        _ claim: IdempotencyClaim, now: NIODeadline, on eventLoop: any EventLoop
    ) -> Eventual<ClaimReply> {
        let promise = eventLoop.makePromise(of: ClaimReply.self)
        server.claim(claim) { result in
            switch result {
            case .success(let outcome) where outcome == .owned || outcome == .unknown:
                // Other replicas do not know it yet.
                let known = self.knownHere(claim, outcome).map { ClaimReply($0, .memory) }
                promise.succeed(known ?? ClaimReply(outcome, self.kind))
            case .success(let outcome): promise.succeed(ClaimReply(outcome, self.kind))
            case .failure(let failure): promise.succeed(self.claimFailed(claim, failure))
            }
        }
        return .later(promise.futureResult)
    }

    /// What this process knows of a message and the server does not, since it was away then. It is told.
    private func knownHere(_ claim: IdempotencyClaim, _ outcome: ClaimOutcome) -> ClaimOutcome? {
        guard case .forward(let local) = whenUnavailable,
            case .now(let report?) = local.report(on: claim.scope, on: eventLoop), let remaining = report.remaining,
            let recorded = report.fingerprint, claim.difference(from: recorded) == nil
        else { return nil }
        switch report.state {
        case .accepted(let answer):
            var known = claim
            // A duplicate makes no record live longer.
            (known.retention, known.isBrief) = (TimeAmount(remaining), true)
            backlog.add(known, .accepted(answer))
            return .accepted(answer)
        case .inFlight, .unknown:
            guard outcome == .owned, !claim.consent else { return nil }
            backlog.add(claim, .unknown)
            if case .inFlight(let left) = report.state { return .inFlight(left: left) }
            return .unknown
        case .absent: return nil
        }
    }

    private func claimFailed(_ claim: IdempotencyClaim, _ failure: IdempotencyRecordError) -> ClaimReply {
        failures[.claim, default: 0] += 1
        if failure == .full {
            fullUntil = eventLoop.now + Self.fullFor
            return ClaimReply(.storeFull, kind)
        }
        // A store that is there and may have forgotten is no store that is away.
        if failure != .forgotten, case .forward(let local) = whenUnavailable,
            case .now(let reply) = local.claim(claim, on: eventLoop)
        {
            if reply.outcome == .owned {
                ownedLocally.insert(claim.owner.number)
                return reply
            }
            release(claim, after: failure)
            return reply
        }
        release(claim, after: failure)
        return ClaimReply(.storeUnavailable, kind)
    }

    /// The claim may have been made, or be made yet, and nobody sends for it.
    private func release(_ claim: IdempotencyClaim, after failure: IdempotencyRecordError) {
        if failure.mayBeDone { backlog.add(claim, .released) }
    }

    // MARK: Settle

    package func settle(
        _ claim: IdempotencyClaim, _ settlement: Settlement, result: AttemptResult, now: NIODeadline,
        on eventLoop: any EventLoop
    ) -> Eventual<SettlementReply> {
        let waiters = waiting.isEmpty ? [] : waiting.removeValue(forKey: WaitedFor(claim))?.promises ?? []
        func tell(_ reply: SettlementReply) -> SettlementReply {
            for waiter in waiters { waiter.succeed(result.settled(reply)) }
            return reply
        }
        if !ownedLocally.isEmpty, ownedLocally.remove(claim.owner.number) != nil {
            var known: AcceptedResponse?
            if case .forward(let local) = whenUnavailable,
                case .now(.accepted(let found)) = local.settle(
                    claim, settlement, result: result, now: now, on: eventLoop)
            {
                known = found
            }
            // The server is told, too: from its return on, every replica knows.
            backlog.add(claim, known.map(Settlement.accepted) ?? settlement)
            return .now(tell(SettlementReply(found: known)))
        }
        if case .forward(let local) = whenUnavailable, case .accepted(let answer) = settlement {
            // What this process knows it does not forget when the server is away; nor does it know it for longer. What a receipt proves
            // lives there as long as the claim said.
            var copy = claim
            if answer.witness != nil { copy.retention = max(.zero, claim.retention - claim.lease) }
            _ = local.settle(copy, settlement, result: result, now: now, on: eventLoop)
        }
        let promise = eventLoop.makePromise(of: SettlementReply.self)
        server.settle(claim, settlement) { reply in
            switch reply {
            case .success(let found): promise.succeed(tell(SettlementReply(found: found)))
            case .failure:
                self.failures[.settle, default: 0] += 1
                self.backlog.add(claim, settlement, made: now)
                promise.succeed(tell(.pending))
            }
        }
        return .later(promise.futureResult)
    }

    // MARK: Wait for another attempt

    package func resultOfAttemptInFlight(
        _ claim: IdempotencyClaim, on eventLoop: any EventLoop
    ) -> Eventual<AttemptResult?> {
        if case .forward(let local) = whenUnavailable,
            case .later(let result) = local.resultOfAttemptInFlight(claim, on: eventLoop)
        {
            return .later(result)
        }
        let promise = eventLoop.makePromise(of: AttemptResult?.self)
        let key = WaitedFor(claim)
        if waiting[key]?.promises.append(promise) == nil {
            let until = eventLoop.now + claim.lease
            waiting[key] = Waiting(promises: [promise], pause: Self.firstPause, until: until)
            askLater(key)
        }
        return .later(promise.futureResult)
    }

    private func askLater(_ key: WaitedFor) {
        guard let pause = waiting[key]?.pause else { return }
        waiting[key]?.pause = min(Self.longestPause, pause * 1.5)
        // Replicas that wait for the same attempt do not ask in step.
        let delay = pause * (0.5 + random())
        eventLoop.assumeIsolated().scheduleTask(deadline: eventLoop.now + delay) { self.ask(key) }
    }

    private func ask(_ key: WaitedFor) {
        guard waiting[key] != nil else { return }
        server.report(on: key.scope) { result in
            guard let waiting = self.waiting[key] else { return }
            if case .success(let report) = result, case .inFlight = report.state, self.eventLoop.now < waiting.until {
                return self.askLater(key)
            }
            self.waiting[key] = nil
            let attempt = (try? result.get()).flatMap { Self.attempt($0, of: key) }
            for promise in waiting.promises { promise.succeed(attempt) }
        }
    }

    /// What those are told who waited for an attempt that has ended; nil: claiming again says it.
    private static func attempt(_ report: KeyReport, of key: WaitedFor) -> AttemptResult? {
        guard report.fingerprint == key.fingerprint else { return nil }
        switch report.state {
        case .accepted(let accepted):
            return AttemptResult(accepted)
        case .unknown:
            // It was sent with consent, and refused: one consent is one attempt, however many asked for it at once.
            return report.refusedResend.map { AttemptResult(.success(UpstreamResponse(status: $0)), region: nil) }
        case .absent, .inFlight: return nil
        }
    }

    // MARK: Receipts

    package func receive(
        _ receipt: Receipt, on eventLoop: any EventLoop
    ) -> Eventual<ReceiptOutcome?> {
        if case .forward(let local) = whenUnavailable { _ = local.receive(receipt, on: eventLoop) }
        // Done or not, where the server cannot say: the skill is told to handle the message.
        return ask { server.receive(receipt, $0) }
    }

    // MARK: Report

    package func report(on scope: IdempotencyScope, on eventLoop: any EventLoop) -> Eventual<KeyReport?> {
        ask { server.report(on: scope, $0) }
    }

    /// Nil if the server cannot be reached.
    private func ask<Reply: Sendable>(
        _ question: (@escaping (Result<Reply, IdempotencyRecordError>) -> Void) -> Void
    ) -> Eventual<Reply?> {
        let promise = eventLoop.makePromise(of: Reply?.self)
        question { result in
            if case .failure = result { self.failures[.report, default: 0] += 1 }
            promise.succeed(try? result.get())
        }
        return .later(promise.futureResult)
    }
}
