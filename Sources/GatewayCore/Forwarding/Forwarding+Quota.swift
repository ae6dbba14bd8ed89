import NIOCore

/// A message that Amazon answered 429, which other callers of the skill may have brought about.
extension Forwarding {
    /// Amazon's own windows are not known; with each further 429 to the same message the pause doubles, but for so long only that there
    /// are many attempts in the time there is: until it is learnt what Amazon takes, most of them meet a window that is used up.
    private static let shortestPause = TimeAmount.milliseconds(100)
    private static let longestPause = TimeAmount.milliseconds(400)

    var quota: SkillQuota? { message.skill.quotas?[region] }

    /// What becomes of a message that Amazon has answered.
    func verdict(on answer: UpstreamResponse, now: NIODeadline) -> SkillQuota.Verdict {
        guard let quota else { return .forward }
        let verdict = quota.answered(
            message.caller, status: answer.status, isRepeated: throttledResends > 0, now: now)
        return verdict != .forward && quota.hold(message.caller) ? verdict : .forward
    }

    func awaitQuota(_ verdict: SkillQuota.Verdict) -> ForwardingState.Step? {
        guard case .success(let answer)? = state.ending?.outcome, let pause = pause(verdict, answer) else {
            return endWait(.settle)
        }
        eventLoop.assumeIsolated().scheduleTask(in: pause) { self.resume(self.waited(verdict)) }
        return nil
    }

    private func waited(_ verdict: SkillQuota.Verdict) -> ForwardingState.Step {
        guard let quota, verdict != .sendAgain else {
            throttledResends += 1
            return endWait(state.sendsAgain())
        }
        let verdict = quota.verdictAfterWait(on: message.caller, now: eventLoop.now)
        return verdict == .forward ? endWait(.settle) : .awaitQuota(verdict)
    }

    private func endWait(_ next: ForwardingState.Step) -> ForwardingState.Step {
        quota?.release(message.caller)
        return next
    }

    /// Nil: too little time would be left to send the message again, so that its outcome might stay unknown.
    private func pause(_ verdict: SkillQuota.Verdict, _ answer: UpstreamResponse) -> TimeAmount? {
        let now = eventLoop.now
        var pause: TimeAmount
        if case .undecided(let time) = verdict {
            pause = max(.milliseconds(1), time - now)
        } else {
            let doubled = Self.shortestPause * (1 << Int64(min(throttledResends, 5)))
            pause = min(doubled, Self.longestPause)
            // All that wait are not to come at once.
            pause = pause + .nanoseconds(.random(in: 0...pause.nanoseconds))
            if let field = answer.retryAfter {
                guard let seconds = Int64(field), (0...3600).contains(seconds) else { return nil }
                pause = max(pause, .seconds(seconds))
            }
        }
        return (deadline - (now + pause)) * 2 >= message.timeLimit ? pause : nil
    }
}
