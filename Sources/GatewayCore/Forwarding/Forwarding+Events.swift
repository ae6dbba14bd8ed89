import NIOCore

/// Events of messages.
extension Forwarding {
    func reports(_ kind: GatewayEvent.Kind) -> Bool { exchange.configuration.events.contains(kind) }

    var reference: MessageReference {
        MessageReference(
            caller: message.caller.name, skill: message.skill.name, region: region,
            requestID: exchange.request.id.text, scope: claim?.scope, answered: forwarder.timestamp())
    }

    /// Its sender is told that its outcome is unknown. It may become known yet.
    func watchOutcome(_ answer: Response) {
        guard reports(.outcomeUnknown), case .refusal(let refusal) = answer.content,
            Trouble(answer)?.isOutcomeUnknown == true
        else { return }
        let now = eventLoop.now
        var age = exchange.snapshot.times.unknownOutcomeAge
        // While the record can tell: it lives from the claim on, and those of content keys live briefly.
        if let claim, let claimed = state.claimedAt {
            age = min(age, .nanoseconds(max(0, (claimed + claim.retention - now).nanoseconds / 2)))
        }
        let unknown = UnknownOutcomes.Message(claim, reference, refusal.problem, due: now + age)
        unknownOutcome = unknown
        forwarder.unknownOutcomes.add(unknown)
    }

    /// No region knows the user.
    func reportUserGone() {
        let isNews = message.skill.users.leave(message.user, now: eventLoop.now)
        guard isNews, reports(.userGone) else { return }
        forwarder.report(
            .userGone(userID: message.user.text, skill: message.skill.name, caller: message.caller.name))
    }
}
