/// What the caller is told of failures that other parts found.

extension UpstreamUnavailable {
    var refusal: Refusal {
        switch self {
        case .notResolved:
            Refusal(.upstreamNotResolved, "the host name of the region's API was not resolved; nothing was sent")
        case .connectionRefused:
            Refusal(.upstreamConnectionRefused, "the region's API did not accept a connection; nothing was sent")
        case .tunnelRefused(let reason):
            Refusal(
                .upstreamConnectionRefused, "no way to the region's API through the proxy (\(reason)); nothing was sent"
            )
        case .connectTimeout:
            Refusal(
                .upstreamConnectionTimeout, "no connection to the region's API came about in time; nothing was sent")
        case .tlsFailed:
            Refusal(.upstreamTLSFailed, "no TLS connection to the region's API came about; nothing was sent")
        case .connectionLost:
            Refusal(.upstreamConnectionLost, "the connection to the region's API was lost; nothing was sent")
        case .noFreeConnection:
            Refusal(
                .tooManyInFlight, "the in-flight limit to this region is reached; nothing was sent",
                retryAfterSeconds: 1)
        case .skillThrottled:
            Refusal(
                .tooManyInFlight,
                "the skill's in-flight limit to this region is reached, since Amazon has answered 429; nothing was sent",
                retryAfterSeconds: 1)
        case .circuitOpen(let retryAfter):
            Refusal(
                .circuitOpen, "the region's API has not answered of late; nothing was sent",
                retryAfterSeconds: retryAfter.asRetryAfterSeconds)
        }
    }
}

extension UpstreamFailure {
    var refusal: Refusal {
        switch self {
        case .timeout:
            Refusal(.outcomeUnknownTimeout, "the message was sent and no answer came in time")
        case .connectionLost:
            Refusal(.outcomeUnknownConnectionLost, "the message was sent and the connection was lost before the answer")
        case .malformedAnswer(let detail):
            Refusal(.outcomeUnknownMalformedAnswer, "the message was sent and the answer was malformed: \(detail)")
        }
    }
}

extension TokenUnavailable {
    /// Names the class of the failure only: what the token endpoint said goes to the log.
    var callerDetail: String {
        switch failure?.reason {
        case .invalidClient: "the token endpoint does not take the skill's client id and secret"
        case .refused: "the token endpoint refuses the skill's client"
        case .unusableAnswer: "the token endpoint gives answers that are no token"
        case .unreachable: "the token endpoint cannot be reached"
        case .timeout: "the token endpoint does not answer"
        case nil: "none has been fetched"
        }
    }
}

extension UpstreamAnswer {
    /// The answer of the first, for a duplicate: Amazon's 202 has no content.
    init(_ accepted: AcceptedAnswer) {
        self.init(status: accepted.status, requestID: accepted.requestID)
    }
}

extension Refusal {
    static var userGone: Refusal {
        Refusal(
            .userGone, "no region knew this user a while ago; the user has disabled the skill, or the userId is wrong")
    }
}

/// What a claim found.
extension Refusal {
    static var outcomeUnknownEarlier: Refusal {
        Refusal(
            .outcomeUnknownEarlier,
            "an earlier attempt with this idempotency key was sent and its outcome is not known; "
                + "`Idempotency-Resend: ?1` sends it again, possibly a second time")
    }

    static var idempotencyKeyReused: Refusal {
        Refusal(
            .idempotencyKeyReused,
            "this idempotency key was used for another message or another user; use a new key")
    }

    static var idempotencyKeyIndistinct: Refusal {
        Refusal(
            .idempotencyKeyIndistinct,
            "this key was used before, and the gateway cannot tell whether for this message: its replicas have different "
                + "fingerprint keys; nothing was sent, and a new key might send the message twice",
            retryAfterSeconds: 10)
    }

    static var storeFull: Refusal {
        Refusal(.storeFull, "no further idempotency key can be remembered now", retryAfterSeconds: 1)
    }

    static var storeUnavailable: Refusal {
        Refusal(
            .storeUnavailable,
            "the store of idempotency keys cannot be used: it does not answer, has too few replicas, or may have lost records; "
                + "nothing was sent",
            retryAfterSeconds: 1)
    }
}
