import NIOCore

/// What a machine is told of messages.
extension Forwarding {
    func tellsOf(_ kind: GatewayEvent.Kind) -> Bool { exchange.configuration.events.contains(kind) }

    var reference: MessageReference {
        MessageReference(
            caller: message.caller.name, skill: message.skill.name, region: region,
            requestID: exchange.request.id.text, record: claim?.scope.hexadecimal, answered: forwarder.timestamp())
    }

    /// Its sender is told that nobody knows whether Amazon has accepted it. That may become known yet.
    func watchOutcome(_ answer: Response) {
        guard tellsOf(.outcomeUnknown), case .refusal(let refusal) = answer.content,
            Trouble(answer)?.isOutcomeUnknown == true
        else { return }
        let due = eventLoop.now + exchange.snapshot.times.unknownOutcomeAge
        let unknown = UnknownOutcomes.Message(claim, reference, refusal.problem, due: due)
        unknownOutcome = unknown
        forwarder.unknownOutcomes.add(unknown)
    }

    /// No region knows the user.
    func userLeft() {
        let isNews = message.skill.users.leave(message.user, now: eventLoop.now)
        guard isNews, tellsOf(.userGone) else { return }
        forwarder.tell(
            .userGone(userID: message.user.text, skill: message.skill.name, caller: message.caller.name))
    }
}
