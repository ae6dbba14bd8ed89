import NIOCore

/// Finding out where a user lives: a message whose region is a guess goes to another region when the first does not know its user.
///
/// A message that was refused was not accepted, so nothing is sent twice. After a time-out, a lost connection or an error of
/// Amazon's nobody knows, and nothing is tried elsewhere.
extension Forwarding {
    /// Whether the message is on its way to another region now.
    func goesElsewhere(after answer: UpstreamAnswer) -> Bool {
        guard let message else { return false }
        if answer.status == 404 && message.certainty == .learned && !message.wasTriedElsewhere {
            message.skill.users.doubt(message.region, of: message.user)
        }
        guard message.canGoElsewhere, mayMeanElsewhere(answer, message) else { return false }
        message.wasRefused(as: answer.status)
        // If the next region cannot be reached, this is what the caller gets.
        firstRefusal = answer
        message.goElsewhere()
        obtainConnection(message, now: forwarder.eventLoop.now)
        return true
    }

    /// Amazon does not say whether a userId of another region is unknown or forbidden. 403 means it only if the token cannot
    /// be the reason, and only where the region was a guess.
    private func mayMeanElsewhere(_ answer: UpstreamAnswer, _ message: Message) -> Bool {
        switch answer.status {
        case 404: true
        case 403: message.certainty == .guessed && token.map { forwarder.isProven($0, of: message.skill) } ?? false
        default: false
        }
    }

    /// No region is left to try.
    func refusedForGood(_ answer: UpstreamAnswer) {
        if let message {
            message.wasRefused(as: answer.status)
            if message.isUnknownEverywhere {
                message.skill.users.leave(message.user, now: forwarder.eventLoop.now)
            }
        }
        settle(.refused(status: answer.status), .upstream(answer))
    }

    /// Amazon accepted the message: the user lives there, and the token is good.
    func learnFromAcceptance(_ message: Message) {
        if let token { forwarder.proven(token, of: message.skill) }
        message.skill.users.learn(message.region, of: message.user, from: message.wasTriedElsewhere ? .probe : .message)
    }
}
