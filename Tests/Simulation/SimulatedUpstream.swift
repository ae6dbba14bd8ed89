import GatewayCore
import NIOCore

/// Amazon: accepts, refuses, answers late, loses connections before and after it has accepted.
final class SimulatedUpstream {
    private let timeline: Timeline
    let ledger: Ledger
    /// Tokens of this generation and later ones are taken.
    private(set) var validTokens = 0
    var hasFaults = true

    init(_ timeline: Timeline, ledger: Ledger) {
        self.timeline = timeline
        self.ledger = ledger
    }

    func revokeTokens() { validTokens += 1 }

    enum Outcome {
        case answer(UpstreamResponse)
        case failure(UpstreamFailure)
        /// Nothing ever comes.
        case silence
    }

    /// What becomes of a message that has arrived.
    func receive(_ send: Int, token: Int) -> Outcome {
        guard token >= validTokens else { return answer(403, send) }
        guard hasFaults else { return accept(send) }
        switch timeline.fraction() {
        case ..<0.5: return accept(send)
        case ..<0.6: return answer(timeline.element([400, 403, 404]), send)
        case ..<0.7: return answer(timeline.element([429, 500, 503]), send)
        case ..<0.78: return edge(send)
        // As HTTP/2 says it (RFC 9113 section 8.7).
        case ..<0.84: return .failure(.notProcessed)
        default:
            if timeline.chance(0.5) { ledger.accepted(send) }
            return timeline.chance(0.5)
                ? .silence : .failure(timeline.element([.connectionLost, .malformedAnswer("status line")]))
        }
    }

    private func accept(_ send: Int) -> Outcome {
        ledger.accepted(send)
        return answer(202, send)
    }

    /// From in front of the API: says nothing of what the API did.
    private func edge(_ send: Int) -> Outcome {
        if timeline.chance(0.5) { ledger.accepted(send) }
        return answer(timeline.element([502, 504]), send)
    }

    private func answer(_ status: Int, _ send: Int) -> Outcome {
        .answer(UpstreamResponse(status: status, requestID: .text("id-\(send)")))
    }
}

/// The connections of one process to Amazon.
final class SimulatedPool: UpstreamPool {
    fileprivate let timeline: Timeline
    fileprivate let upstream: SimulatedUpstream
    fileprivate let process: SimulatedProcess
    /// Those that wait for an answer.
    fileprivate var receivers: [Int: any UpstreamReceiver] = [:]
    /// Those of them that have been told that none came in time.
    private var late: Set<Int> = []
    private var waiting: [Int: any UpstreamReceiver] = [:]
    private var waiters = 0
    /// Behind the wait after which a receipt is asked for.
    private static let look = TimeAmount.milliseconds(600)

    init(_ timeline: Timeline, upstream: SimulatedUpstream, process: SimulatedProcess) {
        self.timeline = timeline
        self.upstream = upstream
        self.process = process
    }

    func lease(for receiver: any UpstreamReceiver) -> Result<any UpstreamConnection, UpstreamUnavailable>? {
        guard !process.isDead else { return .failure(.connectionLost) }
        guard upstream.hasFaults else { return .success(SimulatedConnection(self)) }
        switch timeline.fraction() {
        case ..<0.85: return .success(SimulatedConnection(self))
        case ..<0.9:
            return .failure(timeline.element([.connectionRefused, .noFreeConnection, .tlsFailed("certificate")]))
        default:
            waiters += 1
            let waiter = waiters
            waiting[waiter] = receiver
            timeline.after(timeline.milliseconds(1...300)) { [self] in
                process.run { [self] in
                    guard let receiver = waiting.removeValue(forKey: waiter) else { return }
                    receiver.upstreamLeased(
                        timeline.chance(0.8) ? .success(SimulatedConnection(self)) : .failure(.connectTimeout))
                }
            }
            return nil
        }
    }

    fileprivate func write(_ request: UpstreamRequest, limit: NIODeadline, receiver: any UpstreamReceiver) -> Int? {
        guard !process.isDead else { return nil }
        if upstream.hasFaults && timeline.chance(0.03) { return nil }
        let (send, token) = process.noteSend(request)
        receivers[send] = receiver
        process.loop.assumeIsolated().scheduleTask(deadline: limit) { [self] in end(send, .failure(.timeout)) }
        if receiver.deadline < limit {
            process.loop.assumeIsolated().scheduleTask(deadline: receiver.deadline) { [self] in
                guard receivers[send] != nil, late.insert(send).inserted else { return }
                receiver.upstreamFailed(.timeout)
            }
        }
        process.loop.assumeIsolated().scheduleTask(in: Self.look) { [self] in
            guard !late.contains(send) else { return }
            receivers[send]?.upstreamStillAwaited(now: process.loop.now)
        }
        timeline.after(timeline.milliseconds(1...40)) { [self] in
            // Once written, it arrives whatever becomes of the process.
            let outcome = upstream.receive(send, token: token)
            let isSlow = upstream.hasFaults && timeline.chance(0.1)
            timeline.after(isSlow ? timeline.milliseconds(500...2_500) : timeline.milliseconds(1...60)) { [self] in
                process.run { [self] in
                    if case .silence = outcome { return }
                    end(send, outcome)
                }
            }
        }
        return send
    }

    /// What comes of it is no longer an answer.
    fileprivate func stopAwaiting(_ send: Int) {
        if receivers[send] != nil { late.insert(send) }
    }

    private func end(_ send: Int, _ outcome: SimulatedUpstream.Outcome) {
        guard let receiver = receivers.removeValue(forKey: send) else { return }
        upstream.ledger.ended(send)
        let isLate = late.remove(send) != nil
        switch outcome {
        case .answer(let answer) where isLate: receiver.upstreamEnded(late: answer)
        case .answer(let answer): receiver.upstreamResponded(answer)
        case .failure, .silence:
            if isLate { return receiver.upstreamEnded(late: nil) }
            if case .failure(let failure) = outcome { receiver.upstreamFailed(failure) }
        }
    }

    func die() {
        for (_, receiver) in waiting.sorted(by: { $0.key < $1.key }) {
            receiver.upstreamLeased(.failure(.connectionLost))
        }
        waiting.removeAll()
        let lost = receivers.sorted { $0.key < $1.key }
        receivers.removeAll()
        for (send, receiver) in lost {
            if late.contains(send) {
                receiver.upstreamEnded(late: nil)
            } else {
                receiver.upstreamFailed(.connectionLost)
            }
        }
    }
}

private final class SimulatedConnection: UpstreamConnection {
    private let pool: SimulatedPool
    private var sent: Int?

    init(_ pool: SimulatedPool) {
        self.pool = pool
    }

    func send(_ request: UpstreamRequest, limit: NIODeadline, receiver: any UpstreamReceiver) -> Bool {
        sent = pool.write(request, limit: limit, receiver: receiver)
        return sent != nil
    }

    func stopAwaiting(_: any UpstreamReceiver) {
        if let sent { pool.stopAwaiting(sent) }
    }

    func release(by _: any UpstreamReceiver) {}
}
