/// Why a request is refused because of its caller: not authenticated, not authorized, or over a limit.
package struct CallerError: Error, Equatable, Sendable {
    package enum Reason: Sendable {
        case notAuthenticated
        case notAllowed
        case rateLimitExceeded
        case inFlightLimitReached
        // A JSON Web Token that was not verified.
        case tooManyBadTokens
        case issuerUnavailable
        // Of a request for an access token (RFC 6749 section 5.2).
        case clientNotAuthenticated
        case tokenRequestInvalid
        case grantTypeUnsupported
        case scopeInvalid
    }

    package let reason: Reason
    /// For the caller: what is wrong, what was expected and where. Never a secret.
    package let detail: String
    /// How long to wait before trying again.
    package let retryAfter: Duration?

    init(_ reason: Reason, _ detail: String, retryAfter: Duration? = nil) {
        self.reason = reason
        self.detail = detail
        self.retryAfter = retryAfter
    }

    init(rateExceededFor nanoseconds: Int64) {
        self.init(
            .rateLimitExceeded, "the caller has exceeded its rate limit; nothing was sent",
            retryAfter: .nanoseconds(nanoseconds))
    }
}
