import NIOCore

/// Sending on a connection, and the events of the connection and its pool.
extension Forwarding: EndOfTickQueue.Work {
    /// Sends, at the end of the event loop's turn.
    func perform() {
        guard let connection = leased.take() else { return }
        resume(write(to: connection))
    }

    func leased(_ result: Result<any UpstreamConnection, UpstreamUnavailable>) -> ForwardingState.Step {
        switch result {
        case .success(let connection):
            leased = connection
            return state.leased()
        case .failure(let reason): return state.notLeased(reason)
        }
    }

    /// Gives the connection back unused.
    func releaseConnection() { leased.take()?.release(by: self) }
}

extension Forwarding: UpstreamReceiver {
    private func write(to connection: any UpstreamConnection) -> ForwardingState.Step? {
        let now = forwarder.now
        let sendBudget = exchange.snapshot.times.sendBudget
        if let obstacle = state.obstacle(now: now, deadline: deadline, sendBudget: sendBudget) {
            connection.release(by: self)
            return state.met(obstacle)
        }
        guard let token = state.token else {
            connection.release(by: self)
            return .obtainToken
        }
        // It may have been paused while the message waited.
        if let paused {
            connection.release(by: self)
            return state.unsent(paused.refusal)
        }
        let span = exchange.trace?.beginAttempt(to: region, now: now)
        var request = UpstreamRequest(user: message.user, token: token, content: contentToSend())
        if let traces = forwarder.traces {
            request.trace = traces.upstreamReference(span, caller: exchange.labels.trace)
        }
        guard connection.send(request, limit: limit, receiver: self) else {
            // No byte was written, so the message may be sent on another connection.
            forwarder.instruments.attempted(region, .connectionLost)
            return .leaseConnection
        }
        waitingSince = now
        if message.receipt != nil { awaited = connection }
        let reason = state.sent()
        forwarder.instruments.attempted(region, reason)
        exchange.trace?.sent(reason)
        return nil
    }

    var owner: Int { message.caller.label }
    var skill: Int { message.skill.label }

    func upstreamLeased(_ result: Result<any UpstreamConnection, UpstreamUnavailable>) {
        let seconds = (forwarder.now - waitingSince).inSeconds
        forwarder.instruments.waited(region, seconds: seconds, exemplar: exchange.labels.exemplar(seconds))
        resume(leased(result))
    }

    func upstreamResponded(_ answer: UpstreamResponse) {
        awaited = nil
        if let claim { forwarder.prefetch(claim.scope) }
        let now = forwarder.now
        count(answer, after: now - waitingSince)
        exchange.trace?.responded(answer)
        let isTokenProven = forwarder.isProven(state.token?.generation, of: message.skill)
        let (next, lesson) = state.responded(
            answer, strict5xx: exchange.configuration.strict5xx, isTokenProven: isTokenProven,
            quota: verdict(on: answer, now: now))
        if let lesson { learn(lesson) }
        resume(next, now: now)
    }

    private func count(_ answer: UpstreamResponse, after duration: TimeAmount) {
        let seconds = duration.inSeconds
        forwarder.instruments.upstreamResponded(
            region, status: answer.status, seconds: seconds, exemplar: exchange.labels.exemplar(seconds))
    }

    private func learn(_ lesson: ForwardingState.Lesson) {
        switch lesson {
        case .accepted:
            watchDelivery()
            forwarder.proven(state.token?.generation, of: message.skill)
            message.skill.learn(region, of: message.user, from: state.search.isElsewhere ? .probe : .message)
        case .doubtful(let region): message.skill.users.doubt(region, of: message.user)
        case .gone: reportUserGone()
        case .tokenRefusedAgain: message.skill.tokens.refusedAgain(on: eventLoop)
        }
    }

    func upstreamFailed(_ failure: UpstreamFailure) {
        awaited = nil
        exchange.trace?.failed(failure)
        // What the connection still waits for counts against who was in a hurry.
        if failure == .timeout, deadline < limit { usage = exchange.keepPlace() }
        resume(state.failed(failure))
    }

    /// The caller has been told that the outcome is not known. Its retry is told better.
    func upstreamEnded(late answer: UpstreamResponse?) {
        usage?.leave()
        usage = nil
        guard let answer else { return }
        let now = forwarder.now
        count(answer, after: now - waitingSince)
        guard let accepted = state.respondedLate(answer) else { return }
        learn(.accepted)
        unknownOutcome?.isKnown = true
        guard let claim else { return }
        let result = AttemptResult(.success(answer), region: accepted.region)
        _ = forwarder.settle(claim, .accepted(accepted), result, now: now)
    }
}
