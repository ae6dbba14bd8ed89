import NIOCore

/// `POST /auth/o2/token`: issues the gateway's own access token for a caller's client identifier and secret. Makes no
/// upstream request: Amazon's token never leaves the gateway.
struct CallerTokenEndpoint {
    let exchange: Exchange

    func answer() {
        do {
            let token = try issue()
            exchange.allowed()
            exchange.answer(Response(.accessToken(token), region: nil))
        } catch {
            var refusal = error
            refusal.form = .oauth
            exchange.refuse(refusal)
        }
    }

    private func issue() throws(Refusal) -> IssuedAccessToken {
        let tokens = exchange.configuration.callers.tokens
        let client = try exchange.authenticate(try credentials())
        guard let token = tokens.issue(to: client, now: exchange.forwarder.unixTime()) else {
            throw Refusal(.notFound, "this gateway does not issue access tokens")
        }
        return IssuedAccessToken(text: token, lifetimeSeconds: tokens.lifetimeSeconds)
    }

    private func credentials() throws(Refusal) -> [AccessTokenRequest.Credentials] {
        do {
            return try AccessTokenRequest(exchange.request).credentials
        } catch {
            throw Refusal(error)
        }
    }
}
