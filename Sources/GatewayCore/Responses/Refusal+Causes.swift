/// Maps the errors of lower folders to refusals.

extension Refusal {
    package init(_ error: RequestError) {
        switch error {
        case .malformed(let detail): self.init(.requestMalformed, detail)
        case .tooLarge(let detail): self.init(.contentTooLarge, detail)
        }
    }

    init(_ error: UserIDError) { self.init(.userIDInvalid, error.detail) }

    init(_ error: MessageError) { self.init(.messageInvalid, error.detail) }

    init(_ error: IdempotencyKeyError) { self.init(.idempotencyKeyInvalid, error.detail) }

    init(_ error: CallerError) {
        let problem: Problem =
            switch error.reason {
            case .notAuthenticated: .notAuthenticated
            case .notAllowed: .notAllowed
            case .rateLimitExceeded: .callerRate
            case .inFlightLimitReached: .callerInFlight
            case .tooManyBadTokens: .tooManyFailedAttempts
            case .issuerUnavailable: .issuerUnavailable
            case .clientNotAuthenticated: .clientNotAuthenticated
            case .tokenRequestInvalid: .tokenRequestInvalid
            case .grantTypeUnsupported: .grantTypeUnsupported
            case .scopeInvalid: .scopeInvalid
            }
        self.init(problem, error.detail, retryAfterSeconds: error.retryAfter?.asRetryAfterSeconds)
    }
}

extension Pauses.Subject {
    private static let retryAfterSeconds = 30

    var refusal: Refusal {
        let what =
            switch self {
            case .skill: "of this skill"
            case .caller: "of this caller"
            case .region(let region): "to region \(region.name)"
            }
        return Refusal(
            .paused, "messages \(what) are paused by the operator; nothing was sent",
            retryAfterSeconds: Self.retryAfterSeconds)
    }
}

extension UpstreamUnavailable {
    var refusal: Refusal {
        switch self {
        case .notResolved:
            Refusal(.upstreamNotResolved, "the host name of the region's API could not be resolved; nothing was sent")
        case .connectionRefused:
            Refusal(.upstreamConnectionRefused, "the region's API refused the connection; nothing was sent")
        case .tunnelRefused(let reason):
            Refusal(
                .upstreamConnectionRefused,
                "the region's API cannot be reached through the proxy (\(reason)); nothing was sent")
        case .connectTimeout:
            Refusal(
                .upstreamConnectionTimeout, "connecting to the region's API timed out; nothing was sent")
        case .tlsFailed:
            Refusal(.upstreamTLSFailed, "the TLS handshake with the region's API failed; nothing was sent")
        case .connectionLost:
            Refusal(.upstreamConnectionLost, "the connection to the region's API was lost; nothing was sent")
        case .noFreeConnection:
            Refusal(
                .tooManyInFlight, "the region's in-flight limit is reached; nothing was sent",
                retryAfterSeconds: 1)
        case .skillThrottled:
            Refusal(
                .tooManyInFlight,
                "the skill's in-flight limit for this region is reached, lowered after a 429; nothing was sent",
                retryAfterSeconds: 1)
        case .circuitOpen(let retryAfter):
            Refusal(
                .circuitOpen, "the circuit is open: the region's API is not responding; nothing was sent",
                retryAfterSeconds: retryAfter.asRetryAfterSeconds)
        }
    }
}

extension UpstreamFailure {
    var refusal: Refusal {
        switch self {
        case .timeout:
            Refusal(.outcomeUnknownTimeout, "the message was sent, but no response arrived in time")
        case .connectionLost:
            Refusal(
                .outcomeUnknownConnectionLost, "the message was sent, but the connection was lost before the response")
        case .notProcessed:
            Refusal(
                .upstreamConnectionLost,
                "the region's API has ended the connection twice without processing the message; nothing was done with it"
            )
        case .malformedAnswer(let detail):
            Refusal(.outcomeUnknownMalformedAnswer, "the message was sent, but the response was malformed: \(detail)")
        }
    }
}

extension TokenUnavailable {
    /// Only the class of the failure; the token endpoint's own words go to the log.
    var callerDetail: String {
        switch failure?.reason {
        case .invalidClient: "the token endpoint rejects the skill's client id and secret"
        case .refused: "the token endpoint refuses the skill's client"
        case .unusableAnswer: "the token endpoint's responses contain no usable token"
        case .unreachable: "the token endpoint cannot be reached"
        case .timeout: "the token endpoint does not respond"
        case nil: "none has been fetched yet"
        }
    }
}

extension Refusal {
    package static func tooManyFailedAttempts(retryAfterSeconds seconds: Int) -> Refusal {
        Refusal(
            .tooManyFailedAttempts, "too many authentication attempts have failed, including this one",
            retryAfterSeconds: seconds)
    }

    /// - Parameter nanoseconds: until the next message of the caller may be sent.
    static func skillQuota(retryAfter nanoseconds: Int64) -> Refusal {
        Refusal(
            .skillQuota,
            "the region takes fewer messages of the skill than all callers want sent, and this one has used up its share",
            retryAfterSeconds: Duration.nanoseconds(nanoseconds).asRetryAfterSeconds)
    }

    static var userGone: Refusal {
        Refusal(
            .userGone,
            "when last tried, no region knew this user; the user has disabled the skill, or the userId is wrong")
    }
}

/// Refusals that follow from a claim.
extension Refusal {
    static var outcomeUnknownEarlier: Refusal {
        Refusal(
            .outcomeUnknownEarlier,
            "an earlier attempt with this idempotency key was sent and its outcome is unknown; "
                + "`Idempotency-Resend: ?1` sends it again and accepts a possible duplicate")
    }

    static func idempotencyKeyInUse(retryAfter: Duration) -> Refusal {
        Refusal(
            .idempotencyKeyInUse, "another message with this idempotency key is in flight",
            retryAfterSeconds: retryAfter.asRetryAfterSeconds)
    }

    static var idempotencyKeyReused: Refusal {
        Refusal(
            .idempotencyKeyReused,
            "this idempotency key was used for another message or another user; use a new key")
    }

    static var idempotencyKeyIndistinct: Refusal {
        Refusal(
            .idempotencyKeyIndistinct,
            "this key was used before, but the gateway cannot tell whether it was for this message because its "
                + "replicas have different fingerprint keys; nothing was sent, and a new key might send it twice",
            retryAfterSeconds: 10)
    }

    static var storeFull: Refusal {
        Refusal(.storeFull, "the idempotency store has no room for another key", retryAfterSeconds: 1)
    }

    /// Of a skill's report.
    static var receiptUndecided: Refusal {
        Refusal(
            .storeUnavailable,
            "the store cannot be reached, so it is not known whether this is the first report of the message; handle it",
            retryAfterSeconds: 1)
    }

    static var storeUnavailable: Refusal {
        Refusal(
            .storeUnavailable,
            "the idempotency store is unavailable: it does not respond, cannot be written, has too few replicas or may have lost records; "
                + "nothing was sent",
            retryAfterSeconds: 1)
    }
}
