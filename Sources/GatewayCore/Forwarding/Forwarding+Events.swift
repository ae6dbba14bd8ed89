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
        // While the record can tell: it lives from the claim on, and content keys live briefly.
        let age = min(
            exchange.snapshot.times.unknownOutcomeAge,
            claim.map { .nanoseconds($0.retention.nanoseconds / 2) } ?? .hours(24))
        let unknown = UnknownOutcomes.Message(claim, reference, refusal.problem, due: eventLoop.now + age)
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
