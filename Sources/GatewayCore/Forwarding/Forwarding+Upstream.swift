import NIOCore

/// What its pool and its connection tell a message.
extension Forwarding: UpstreamReceiver {
    var owner: Int { labels.caller ?? 0 }
    var skill: Int { labels.skill ?? 0 }

    func upstreamLeased(_ result: Result<any UpstreamConnection, UpstreamUnavailable>) {
        guard let message else { return }
        let now = forwarder.eventLoop.now
        forwarder.instruments.waited(message.region, seconds: (now - askedForConnection).inSeconds)
        connectionObtained(message, result, now: now)
    }

    func upstreamAnswered(_ answer: UpstreamAnswer) {
        guard let message else { return }
        let duration = forwarder.eventLoop.now - sentAt
        forwarder.instruments.upstreamAnswered(message.region, status: answer.status, seconds: duration.inSeconds)
        switch AnswerDisposition(status: answer.status, strict5xx: snapshot.configuration.strict5xx) {
        case .accepted:
            learnFromAcceptance(message)
            let accepted = AcceptedAnswer(status: answer.status, region: message.region, requestID: answer.requestID)
            settle(.accepted(accepted), .upstream(answer))
        case .refused: if !goesElsewhere(after: answer) { refusedForGood(answer) }
        case .tokenRefused: if !goesElsewhere(after: answer) { sendAgain(after: answer) }
        case .unknown:
            var refusal = Refusal(
                .outcomeUnknownGatewayAnswer,
                "status \(answer.status) does not show whether the API accepted the message")
            refusal.receivedStatus = answer.status
            settle(.unknown, .refusal(refusal))
        }
    }

    func upstreamFailed(_ failure: UpstreamFailure) {
        settle(.unknown, .refusal(failure.refusal))
    }
}
