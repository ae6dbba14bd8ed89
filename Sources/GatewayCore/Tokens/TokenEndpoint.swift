package import NIOCore

/// What the gateway authenticates itself with at the token endpoint, for one skill.
package struct ClientCredentials: Equatable, Sendable {
    package var clientID: String
    package var clientSecret: String
    /// Tried at once when `clientSecret` is refused: lets an operator rotate without a gap.
    package var nextClientSecret: String?

    package init(clientID: String, clientSecret: String, nextClientSecret: String? = nil) {
        self.clientID = clientID
        self.clientSecret = clientSecret
        self.nextClientSecret = nextClientSecret
    }
}

/// A token as the token endpoint granted it (RFC 6749 section 5.1).
package struct TokenGrant: Equatable, Sendable {
    /// Checked to be characters that may stand in a field value.
    package var token: String
    /// `expires_in`, in seconds; nil where it is missing or no number.
    package var lifetimeSeconds: Int?

    package init(token: String, lifetimeSeconds: Int?) {
        self.token = token
        self.lifetimeSeconds = lifetimeSeconds
    }
}

/// Why there is no token. `detail` is for the log and names no secret.
package struct TokenFetchFailure: Error, Equatable, Sendable {
    /// A label of the metrics.
    package enum Reason: String, CaseIterable, Sendable {
        /// The client id or secret is wrong (RFC 6749 section 5.2, `invalid_client`).
        case invalidClient = "invalid_client"
        /// Any other error that the endpoint explained.
        case refused
        /// A status or content that is no token and no error of RFC 6749.
        case unusableAnswer = "unusable_answer"
        case unreachable
        case timeout
    }

    package var reason: Reason
    package var detail: String

    /// What has to be known to mend it, as a part of a sentence about a skill.
    package var text: String {
        switch reason {
        case .invalidClient: "its client id or secret is wrong (the token endpoint says invalid_client)"
        case .refused: "the token endpoint refuses it (\(detail))"
        case .unusableAnswer: "the token endpoint does not grant one (\(detail))"
        case .unreachable: "the token endpoint cannot be reached (\(detail))"
        case .timeout: "the token endpoint does not answer in time (\(detail))"
        }
    }

    package init(_ reason: Reason, _ detail: String) {
        self.reason = reason
        self.detail = detail
    }
}

/// Where access tokens come from. One request a call; no retries, no cache.
package protocol TokenEndpoint: Sendable {
    /// - Parameter secret: which of the two secrets to use.
    func fetchToken(
        _ credentials: ClientCredentials, secret: ClientCredentials.Secret, on eventLoop: any EventLoop
    ) -> EventLoopFuture<Result<TokenGrant, TokenFetchFailure>>
}

extension ClientCredentials {
    package enum Secret: Equatable, Sendable {
        case current
        case next

        var other: Secret { self == .current ? .next : .current }
    }

    package func value(of secret: Secret) -> String {
        switch secret {
        case .current: clientSecret
        case .next: nextClientSecret ?? clientSecret
        }
    }
}
