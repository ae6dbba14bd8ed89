/// Every way in which a message fails inside the gateway: the one table that says what each means to the caller, to
/// metrics and logs, and to the question whether the message may be sent again.
///
/// Nothing else switches over failures. A failure that is Amazon's answer is not here; see `ResponseDisposition`.
package enum Problem: String, CaseIterable, Sendable {
    // The request cannot be understood.
    case requestMalformed = "request-malformed"
    case requestTimeout = "request-timeout"
    case contentTooLarge = "content-too-large"
    case notFound = "not-found"
    case methodNotAllowed = "method-not-allowed"
    // The caller is not authenticated, not authorized or over a limit.
    case notAuthenticated = "not-authenticated"
    case notAllowed = "not-allowed"
    case tooManyFailedAttempts = "too-many-failed-attempts"
    case callerRate = "caller-rate"
    case callerInFlight = "caller-in-flight"
    // A request for an access token is refused.
    case tokenRequestInvalid = "token-request-invalid"
    case clientNotAuthenticated = "client-not-authenticated"
    case grantTypeUnsupported = "grant-type-unsupported"
    case scopeInvalid = "scope-invalid"
    // The message or its fields break a rule.
    case messageInvalid = "message-invalid"
    case fieldInvalid = "field-invalid"
    case userIDInvalid = "user-id-invalid"
    case skillRequired = "skill-required"
    case regionUnknown = "region-unknown"
    case userGone = "user-gone"
    case idempotencyKeyInvalid = "idempotency-key-invalid"
    case idempotencyKeyRequired = "idempotency-key-required"
    case idempotencyKeyReused = "idempotency-key-reused"
    case idempotencyKeyInUse = "idempotency-key-in-use"
    case idempotencyKeyIndistinct = "idempotency-key-indistinct"
    // The gateway cannot send now; nothing was sent.
    case tokenUnavailable = "token-unavailable"
    case tooManyInFlight = "too-many-in-flight"
    case circuitOpen = "circuit-open"
    case sendBudgetExceeded = "send-budget-exceeded"
    case storeFull = "store-full"
    case storeUnavailable = "store-unavailable"
    case upstreamNotResolved = "upstream-not-resolved"
    case upstreamConnectionRefused = "upstream-connection-refused"
    case upstreamConnectionTimeout = "upstream-connection-timeout"
    case upstreamTLSFailed = "upstream-tls-failed"
    case upstreamConnectionLost = "upstream-connection-lost"
    // The message was sent and its outcome is unknown.
    case outcomeUnknownTimeout = "outcome-unknown-timeout"
    case outcomeUnknownConnectionLost = "outcome-unknown-connection-lost"
    case outcomeUnknownMalformedAnswer = "outcome-unknown-malformed-answer"
    case outcomeUnknownGatewayAnswer = "outcome-unknown-gateway-answer"
    case outcomeUnknownEarlier = "outcome-unknown-earlier"

    package enum Severity: Sendable {
        /// The caller's own doing: for the caller to see, not for the operator.
        case debug
        /// Degraded but working.
        case warning
    }

    /// What a caller that has this answer may do with the same message.
    package enum Resend: Sendable {
        /// It would fail again as it stands.
        case afterCorrection
        /// Nothing was sent: as often as the caller likes.
        case safe
        /// It may have been accepted: only with consent to a possible duplicate.
        case mayDouble
    }

    package struct Row: Sendable {
        package var status: Int
        /// The last part of `urn:skillgate:problem:…`; several causes may share one type.
        package var type: String
        package var title: String
        /// RFC 9209 section 2.3.
        package var proxyStatusError: String
        package var severity: Severity
        package var resend: Resend
        /// What stands for it in answers of the token endpoint (RFC 6749 section 5.2).
        package var oauthError = "invalid_request"
    }

    package var row: Row {
        switch self {
        case .requestMalformed: malformed(400, "Malformed request")
        case .requestTimeout: malformed(408, "Request timeout")
        case .contentTooLarge: malformed(413, "Content too large")
        case .notFound: malformed(404, "Not found")
        case .methodNotAllowed: malformed(405, "Method not allowed")
        case .notAuthenticated: denied(401, "Caller not authenticated")
        case .notAllowed: denied(403, "Caller not authorized")
        case .tooManyFailedAttempts: tooMany("Too many failed authentication attempts", "invalid_client")
        case .callerRate: tooMany("Caller rate limit exceeded", "temporarily_unavailable")
        case .callerInFlight: tooMany("Caller in-flight limit reached", "temporarily_unavailable")
        case .tokenRequestInvalid: tokenRefused(400, "invalid_request", "Invalid access token request")
        case .clientNotAuthenticated: tokenRefused(401, "invalid_client", "Client not authenticated")
        case .grantTypeUnsupported: tokenRefused(400, "unsupported_grant_type", "Unsupported grant type")
        case .scopeInvalid: tokenRefused(400, "invalid_scope", "Invalid scope")
        case .messageInvalid: malformed(400, "Invalid message")
        case .fieldInvalid: malformed(400, "Invalid field")
        case .userIDInvalid: malformed(400, "Invalid userId")
        case .skillRequired: malformed(400, "Skill required")
        case .regionUnknown: malformed(400, "User's region unknown")
        case .userGone: malformed(404, "User no longer exists")
        case .idempotencyKeyInvalid: malformed(400, "Invalid idempotency key")
        case .idempotencyKeyRequired: malformed(400, "Idempotency key required")
        case .idempotencyKeyReused: malformed(422, "Idempotency key used for another message")
        case .idempotencyKeyIndistinct:
            Row(
                status: 409, type: rawValue,
                title: "Idempotency key cannot be matched to this message",
                proxyStatusError: "proxy_configuration_error", severity: .warning, resend: .safe)
        case .idempotencyKeyInUse:
            Row(
                status: 409, type: rawValue, title: "Idempotency key in use",
                proxyStatusError: "http_request_error", severity: .debug, resend: .safe)
        case .tokenUnavailable: notSent(503, "No access token available", "destination_unavailable")
        case .tooManyInFlight: notSent(503, "In-flight limit reached", "connection_limit_reached")
        case .circuitOpen: notSent(503, "Circuit open", "destination_unavailable")
        case .sendBudgetExceeded: notSent(503, "Send budget exceeded", "proxy_internal_error")
        case .storeFull: notSent(503, "Idempotency store full", "proxy_internal_error")
        case .storeUnavailable:
            notSent(503, "Idempotency store unavailable", "destination_unavailable")
        case .upstreamNotResolved: unreachable("dns_error")
        case .upstreamConnectionRefused: unreachable("connection_refused")
        case .upstreamConnectionTimeout: unreachable("connection_timeout")
        case .upstreamTLSFailed: unreachable("tls_protocol_error")
        case .upstreamConnectionLost: unreachable("connection_terminated")
        case .outcomeUnknownTimeout: unknown("connection_read_timeout")
        case .outcomeUnknownConnectionLost: unknown("connection_terminated")
        case .outcomeUnknownMalformedAnswer: unknown("http_protocol_error")
        case .outcomeUnknownGatewayAnswer: unknown("http_response_incomplete")
        case .outcomeUnknownEarlier: unknown("proxy_internal_response")
        }
    }

    private func malformed(_ status: Int, _ title: String) -> Row {
        Row(
            status: status, type: rawValue, title: title, proxyStatusError: "http_request_error", severity: .debug,
            resend: .afterCorrection)
    }

    private func denied(_ status: Int, _ title: String) -> Row {
        Row(
            status: status, type: rawValue, title: title, proxyStatusError: "http_request_denied", severity: .debug,
            resend: .afterCorrection)
    }

    private func tooMany(_ title: String, _ oauthError: String) -> Row {
        Row(
            status: 429, type: rawValue, title: title, proxyStatusError: "http_request_denied", severity: .debug,
            resend: .safe, oauthError: oauthError)
    }

    private func tokenRefused(_ status: Int, _ error: String, _ title: String) -> Row {
        Row(
            status: status, type: rawValue, title: title, proxyStatusError: "http_request_denied", severity: .debug,
            resend: .afterCorrection, oauthError: error)
    }

    private func notSent(_ status: Int, _ title: String, _ proxyStatusError: String) -> Row {
        Row(
            status: status, type: rawValue, title: title, proxyStatusError: proxyStatusError, severity: .warning,
            resend: .safe)
    }

    private func unreachable(_ proxyStatusError: String) -> Row {
        Row(
            status: 502, type: "upstream-unreachable", title: "Upstream unreachable",
            proxyStatusError: proxyStatusError, severity: .warning, resend: .safe)
    }

    private func unknown(_ proxyStatusError: String) -> Row {
        Row(
            status: 504, type: "outcome-unknown", title: "Outcome unknown",
            proxyStatusError: proxyStatusError, severity: .warning, resend: .mayDouble)
    }
}
