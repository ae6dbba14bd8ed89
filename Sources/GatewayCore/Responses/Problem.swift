/// Every failure of a request inside the gateway: the single table of what each means to the caller, to metrics and logs,
/// and whether the message may be sent again.
///
/// Failures that Amazon responds with are not here; see `ResponseDisposition`.
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
    case issuerUnavailable = "issuer-unavailable"
    case callerRate = "caller-rate"
    case callerInFlight = "caller-in-flight"
    case skillQuota = "skill-quota"
    // A report of a message is refused.
    case receiptUnknown = "receipt-unknown"
    case receiptRate = "receipt-rate"
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
    case paused
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
        /// Caused by the caller: of interest to the caller, not to the operator.
        case debug
        /// Degraded but working.
        case warning
    }

    /// Whether a caller that gets this response may send the same message again.
    package enum Resend: Sendable {
        /// It would fail again unchanged.
        case afterCorrection
        /// Nothing was sent: as often as the caller likes.
        case safe
        /// It may have been accepted: only with consent to a possible duplicate.
        case mayDouble
    }

    package struct Row: Sendable {
        package let status: Int
        /// The last part of `urn:skillgate:problem:…`; several causes may share one type.
        package let type: String
        package let title: String
        /// RFC 9209 section 2.3.
        package let proxyStatusError: String
        let severity: Severity
        package let resend: Resend
        /// The `error` code in responses of the token endpoint (RFC 6749 section 5.2).
        let oauthError: String

        fileprivate init(
            _ status: Int, _ type: String, _ title: String, _ proxyStatusError: String, _ severity: Severity,
            _ resend: Resend, _ oauthError: String = "invalid_request"
        ) {
            self.status = status
            self.type = type
            self.title = title
            self.proxyStatusError = proxyStatusError
            self.severity = severity
            self.resend = resend
            self.oauthError = oauthError
        }
    }

    // A row per problem.
    // swift-format-ignore
    package var row: Row {
        switch self {
        case .requestMalformed:              Row(400, rawValue,               "Malformed request",                                 "http_request_error",        .debug,   .afterCorrection)
        case .requestTimeout:                Row(408, rawValue,               "Request timeout",                                   "http_request_error",        .debug,   .safe)
        case .contentTooLarge:               Row(413, rawValue,               "Content too large",                                 "http_request_error",        .debug,   .afterCorrection)
        case .notFound:                      Row(404, rawValue,               "Not found",                                         "http_request_error",        .debug,   .afterCorrection)
        case .methodNotAllowed:              Row(405, rawValue,               "Method not allowed",                                "http_request_error",        .debug,   .afterCorrection)
        case .notAuthenticated:              Row(401, rawValue,               "Caller not authenticated",                          "http_request_denied",       .debug,   .afterCorrection)
        case .notAllowed:                    Row(403, rawValue,               "Caller not authorized",                             "http_request_denied",       .debug,   .afterCorrection)
        case .tooManyFailedAttempts:         Row(429, rawValue,               "Too many failed authentication attempts",           "http_request_denied",       .debug,   .safe, "invalid_client")
        case .issuerUnavailable:             Row(503, rawValue,               "Issuer's keys unavailable",                         "destination_unavailable",   .warning, .safe)
        case .callerRate:                    Row(429, rawValue,               "Caller rate limit exceeded",                        "http_request_denied",       .debug,   .safe, "temporarily_unavailable")
        case .callerInFlight:                Row(429, rawValue,               "Caller in-flight limit reached",                    "http_request_denied",       .debug,   .safe, "temporarily_unavailable")
        case .skillQuota:                    Row(429, rawValue,               "Caller's share of the skill's quota used up",       "http_request_denied",       .debug,   .safe)
        case .receiptUnknown:                Row(404, rawValue,               "Unknown receipt id",                                "http_request_error",        .debug,   .afterCorrection)
        case .receiptRate:                   Row(429, rawValue,               "Receipt rate limit exceeded",                       "http_request_denied",       .debug,   .safe)
        case .tokenRequestInvalid:           Row(400, rawValue,               "Invalid access token request",                      "http_request_denied",       .debug,   .afterCorrection)
        case .clientNotAuthenticated:        Row(401, rawValue,               "Client not authenticated",                          "http_request_denied",       .debug,   .afterCorrection, "invalid_client")
        case .grantTypeUnsupported:          Row(400, rawValue,               "Unsupported grant type",                            "http_request_denied",       .debug,   .afterCorrection, "unsupported_grant_type")
        case .scopeInvalid:                  Row(400, rawValue,               "Invalid scope",                                     "http_request_denied",       .debug,   .afterCorrection, "invalid_scope")
        case .messageInvalid:                Row(400, rawValue,               "Invalid message",                                   "http_request_error",        .debug,   .afterCorrection)
        case .fieldInvalid:                  Row(400, rawValue,               "Invalid field",                                     "http_request_error",        .debug,   .afterCorrection)
        case .userIDInvalid:                 Row(400, rawValue,               "Invalid userId",                                    "http_request_error",        .debug,   .afterCorrection)
        case .skillRequired:                 Row(400, rawValue,               "Skill required",                                    "http_request_error",        .debug,   .afterCorrection)
        case .regionUnknown:                 Row(400, rawValue,               "User's region unknown",                             "http_request_error",        .debug,   .afterCorrection)
        case .userGone:                      Row(404, rawValue,               "User no longer exists",                             "http_request_error",        .debug,   .afterCorrection)
        case .idempotencyKeyInvalid:         Row(400, rawValue,               "Invalid idempotency key",                           "http_request_error",        .debug,   .afterCorrection)
        case .idempotencyKeyRequired:        Row(400, rawValue,               "Idempotency key required",                          "http_request_error",        .debug,   .afterCorrection)
        case .idempotencyKeyReused:          Row(422, rawValue,               "Idempotency key used for another message",          "http_request_error",        .debug,   .afterCorrection)
        case .idempotencyKeyInUse:           Row(409, rawValue,               "Idempotency key in use",                            "http_request_error",        .debug,   .safe)
        case .idempotencyKeyIndistinct:      Row(409, rawValue,               "Idempotency key cannot be matched to this message", "proxy_configuration_error", .warning, .safe)
        case .tokenUnavailable:              Row(503, rawValue,               "No access token available",                         "destination_unavailable",   .warning, .safe)
        case .paused:                        Row(503, rawValue,               "Paused by an operator",                             "destination_unavailable",   .debug,   .safe)
        case .tooManyInFlight:               Row(503, rawValue,               "In-flight limit reached",                           "connection_limit_reached",  .warning, .safe)
        case .circuitOpen:                   Row(503, rawValue,               "Circuit open",                                      "destination_unavailable",   .warning, .safe)
        case .sendBudgetExceeded:            Row(503, rawValue,               "Send budget exceeded",                              "proxy_internal_error",      .warning, .safe)
        case .storeFull:                     Row(503, rawValue,               "Idempotency store full",                            "proxy_internal_error",      .warning, .safe)
        case .storeUnavailable:              Row(503, rawValue,               "Idempotency store unavailable",                     "destination_unavailable",   .warning, .safe)
        case .upstreamNotResolved:           Row(502, "upstream-unreachable", "Upstream unreachable",                              "dns_error",                 .warning, .safe)
        case .upstreamConnectionRefused:     Row(502, "upstream-unreachable", "Upstream unreachable",                              "connection_refused",        .warning, .safe)
        case .upstreamConnectionTimeout:     Row(502, "upstream-unreachable", "Upstream unreachable",                              "connection_timeout",        .warning, .safe)
        case .upstreamTLSFailed:             Row(502, "upstream-unreachable", "Upstream unreachable",                              "tls_protocol_error",        .warning, .safe)
        case .upstreamConnectionLost:        Row(502, "upstream-unreachable", "Upstream unreachable",                              "connection_terminated",     .warning, .safe)
        case .outcomeUnknownTimeout:         Row(504, "outcome-unknown",      "Outcome unknown",                                   "connection_read_timeout",   .warning, .mayDouble)
        case .outcomeUnknownConnectionLost:  Row(504, "outcome-unknown",      "Outcome unknown",                                   "connection_terminated",     .warning, .mayDouble)
        case .outcomeUnknownMalformedAnswer: Row(504, "outcome-unknown",      "Outcome unknown",                                   "http_protocol_error",       .warning, .mayDouble)
        case .outcomeUnknownGatewayAnswer:   Row(504, "outcome-unknown",      "Outcome unknown",                                   "http_response_incomplete",  .warning, .mayDouble)
        case .outcomeUnknownEarlier:         Row(504, "outcome-unknown",      "Outcome unknown",                                   "proxy_internal_response",   .warning, .mayDouble)
        }
    }

    /// Whether the same message may be sent again after a response with this status, from the gateway or from Amazon; nil
    /// for a status that the gateway never generates.
    package static func resend(after status: Int) -> Resend? { resendByStatus[status] }

    private static let resendByStatus = Dictionary(
        allCases.map { ($0.row.status, $0.row.resend) }, uniquingKeysWith: { first, _ in first })
}
