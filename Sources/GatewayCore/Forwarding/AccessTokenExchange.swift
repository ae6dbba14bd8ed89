import NIOCore

/// `POST /auth/o2/token`: a caller's client identifier and secret for an access token of the gateway's own. Asks nobody:
/// Amazon's token never leaves the gateway.
struct AccessTokenExchange {
    let forwarder: MessageForwarder
    let request: InboundRequest
    let peer: Peer

    func answer() -> Answer {
        var labels = ForwardingInstruments.Labels()
        labels.trace = RequestFields(request).trace
        do {
            let answer = try exchange(&labels)
            forwarder.logs.audit?.decided(.accessToken, labels, by: .clientSecret, from: peer, problem: nil)
            return answer
        } catch {
            forwarder.refused(error.problem, from: peer)
            forwarder.logs.audit?.decided(.accessToken, labels, by: nil, from: peer, problem: error.problem)
            var refusal = error
            refusal.form = .oauth
            return Answer(.refusal(refusal), region: nil)
        }
    }

    private func exchange(_ labels: inout ForwardingInstruments.Labels) throws(Refusal) -> Answer {
        let directory = forwarder.snapshot.configuration.callers
        let tokenRequest = try AccessTokenRequest(request)
        let caller: Caller
        let client: CallerTokens.Client
        do {
            (caller, client) = try directory.authenticate(tokenRequest.credentials)
        } catch {
            throw forwarder.failedAttempt(error, from: peer)
        }
        labels.caller = caller.label
        try caller.usage.pass(caller.limits.rate, now: forwarder.eventLoop.now)
        guard let token = directory.tokens.issue(to: client, now: forwarder.unixTime()) else {
            throw Refusal(.notFound, "this gateway does not issue access tokens")
        }
        return Answer(
            .accessToken(IssuedAccessToken(text: token, lifetimeSeconds: directory.tokens.lifetimeSeconds)), region: nil
        )
    }
}

/// An access token of the gateway, as its caller gets it.
public struct IssuedAccessToken: Equatable, Sendable {
    public var text: String
    public var lifetimeSeconds: Int
}
