package import NIOCore

/// When to fetch a token of one skill, and which token to use. Pure: time and chance are passed in.
package struct TokenStateMachine: Sendable {
    /// What is there to be used.
    private enum Held: Equatable {
        case nothing
        case token(AccessToken)
        /// Amazon refused it once; used again only if a newer one is not to be had.
        case suspect(AccessToken)
    }

    /// What is under way to get the next token.
    private enum Fetch: Equatable {
        /// Can transition to: underWay.
        case due(NIODeadline)
        /// Can transition to: due, underWayOutdated.
        case underWay(secret: ClientCredentials.Secret, sent: NIODeadline, triedOther: Bool)
        /// Under way with secrets that have been replaced since. Can transition to: due, underWay.
        case underWayOutdated(sent: NIODeadline)
    }

    package enum Use: Equatable {
        case token(AccessToken)
        /// A fetch is under way that will say.
        case wait
        /// The last fetch failed and the next one is not due yet.
        case unavailable(TokenUnavailable)
    }

    /// What follows from a refused token.
    package enum Renewal: Equatable {
        /// A newer token is there already.
        case token(AccessToken)
        /// A new one is being fetched.
        case wait
        /// Not to be had, or not worth another fetch.
        case none
    }

    package enum FetchAction: Equatable {
        case fetch(ClientCredentials.Secret)
        case waitUntil(NIODeadline)
    }

    package enum Completion: Equatable {
        case deliver(AccessToken)
        case fail(TokenUnavailable)
        /// Another fetch is due at once; whoever waits goes on waiting.
        case fetchAgain
    }

    static let longestLifetimeSeconds = 86_400
    /// Amazon's tokens live an hour; assumed where the answer does not say.
    static let assumedLifetimeSeconds = 3600
    static let expiryMargin = Duration.seconds(60)
    static let forcedFetchPause = Duration.seconds(30)
    /// Between a fetch that failed and one that a message hurries.
    static let shortestHurry = Duration.seconds(1)

    private var held = Held.nothing
    private var fetch: Fetch
    private var hasNextSecret: Bool
    private var secret = ClientCredentials.Secret.current
    private let firstGeneration: UInt64
    private var generation: UInt64
    private var failuresInARow = 0
    /// Nil if the last fetch brought a token that can be used.
    private(set) var lastFailure: TokenFetchFailure?
    private var forcedFetchesAgain: NIODeadline
    /// Not before this may a message hurry a fetch that is due later.
    private var hurriesAgain: NIODeadline

    /// - Parameter firstGeneration: tokens count up from here.
    package init(hasNextSecret: Bool, now: NIODeadline, firstGeneration: UInt64 = 0) {
        self.firstGeneration = firstGeneration
        generation = firstGeneration
        self.hasNextSecret = hasNextSecret
        fetch = .due(now)
        forcedFetchesAgain = now
        hurriesAgain = now
    }

    /// Whether a token was ever there: what readiness asks.
    package var hasHadToken: Bool { generation > firstGeneration }

    /// When the token at hand stops being used; nil if there is none.
    package var expires: NIODeadline? {
        switch held {
        case .nothing: nil
        case .token(let token), .suspect(let token): token.expires
        }
    }

    package func use(now: NIODeadline) -> Use {
        switch (held, fetch) {
        case (.token(let token), _) where token.expires > now: return .token(token)
        case (_, .underWay), (_, .underWayOutdated):
            // An endpoint that did not answer lately is not waited for: what it holds up is refused at once.
            guard lastFailure?.reason != .timeout else {
                return .unavailable(TokenUnavailable(retryAfter: Self.shortestHurry, failure: lastFailure))
            }
            return .wait
        case (.suspect(let token), .due) where token.expires > now: return .token(token)
        case (_, .due(let due)):
            guard due > now else { return .wait }  // the timer is about to start it
            return .unavailable(TokenUnavailable(retryAfter: Duration(from: now, to: due), failure: lastFailure))
        }
    }

    /// A message found no token while the next fetch is due later: that fetch is due now, once a second at most, so that service is
    /// back as soon as the endpoint is. A wrong secret does not get better by asking.
    ///
    /// - Returns: whether `timeTriggered` is to be called.
    mutating func hurry(now: NIODeadline) -> Bool {
        guard case .due(let due) = fetch, due > now, now >= hurriesAgain, lastFailure?.reason != .invalidClient else {
            return false
        }
        fetch = .due(now)
        return true
    }

    /// The timer went off, or may as well have.
    package mutating func timeTriggered(now: NIODeadline) -> FetchAction? {
        guard case .due(let due) = fetch else { return nil }
        guard due <= now else { return .waitUntil(due) }
        fetch = .underWay(secret: secret, sent: now, triedOther: false)
        return .fetch(secret)
    }

    package mutating func fetchSucceeded(_ grant: TokenGrant, random: Double, now: NIODeadline) -> Completion {
        let sent: NIODeadline
        var isOutdated = false
        switch fetch {
        case .underWay(let used, let at, _): (secret, sent) = (used, at)
        case .underWayOutdated(let at): (isOutdated, sent) = (true, at)
        case .due: preconditionFailure("a token came that nobody asked for; state \(fetch)")
        }
        let seconds = min(max(grant.lifetimeSeconds ?? Self.assumedLifetimeSeconds, 0), Self.longestLifetimeSeconds)
        let lifetime = Duration.seconds(seconds)
        // Counted from when the request was sent: the token is at least as old as its way here.
        let usable = lifetime - min(Self.expiryMargin, lifetime / 2)
        let renewal = min(lifetime * (0.70 + 0.15 * random), usable * 0.9)
        // However short the life that the endpoint grants: an expired token is never sent.
        guard sent + usable > now else {
            fetch = .underWay(secret: secret, sent: sent, triedOther: true)
            return fetchFailed(
                TokenFetchFailure(.unusableAnswer, "the token had expired when it came"), random: random, now: now)
        }
        generation += 1
        let token = AccessToken(grant.token, generation: generation, expires: sent + usable)
        held = .token(token)
        failuresInARow = 0
        lastFailure = nil
        // A token of replaced secrets may be refused before its time.
        fetch = .due(isOutdated ? now : max(sent + renewal, now + .seconds(1)))
        return .deliver(token)
    }

    mutating func fetchFailed(_ failure: TokenFetchFailure, random: Double, now: NIODeadline) -> Completion {
        if case .underWayOutdated = fetch {
            fetch = .underWay(secret: secret, sent: now, triedOther: false)
            return .fetchAgain
        }
        guard case .underWay(let used, _, let triedOther) = fetch else {
            preconditionFailure("a fetch failed that nobody started; state \(fetch)")
        }
        lastFailure = failure
        if failure.reason == .invalidClient && hasNextSecret && !triedOther {
            fetch = .underWay(secret: used.other, sent: now, triedOther: true)
            return .fetchAgain
        }
        failuresInARow += 1
        let (shortest, longest): (Duration, Duration) =
            failure.reason == .invalidClient ? (.seconds(30), .seconds(300)) : (.seconds(1), .seconds(30))
        let backoff = min(shortest * (1 << min(failuresInARow - 1, 16)), longest)
        let pause = max(shortest / 2, backoff * (0.5 + 0.5 * random))
        fetch = .due(now + pause)
        hurriesAgain = now + Self.shortestHurry
        switch held {
        case .token(let token) where token.expires > now: return .deliver(token)
        case .suspect(let token) where token.expires > now: return .deliver(token)
        default: return .fail(TokenUnavailable(retryAfter: pause, failure: failure))
        }
    }

    /// The secret to go on with after `Completion.fetchAgain`.
    mutating func secretToTryAgainWith(now: NIODeadline) -> ClientCredentials.Secret {
        guard case .underWay(let secret, _, let triedOther) = fetch else { return secret }
        fetch = .underWay(secret: secret, sent: now, triedOther: triedOther)
        return secret
    }

    /// The secrets are others now. What failed with the old ones may succeed, so a fetch is due at once; the token at hand is
    /// used until then.
    mutating func credentialsReplaced(hasNextSecret: Bool, now: NIODeadline) {
        self.hasNextSecret = hasNextSecret
        secret = .current
        failuresInARow = 0
        forcedFetchesAgain = now
        switch fetch {
        case .due: fetch = .due(now)
        case .underWay(_, let sent, _), .underWayOutdated(let sent): fetch = .underWayOutdated(sent: sent)
        }
    }

    /// Amazon answered 403 to a message sent with the token of this generation, for the first time for this message.
    ///
    /// However many messages report the same generation, one fetch follows.
    package mutating func refused(generation refused: UInt64, now: NIODeadline) -> Renewal {
        switch (held, fetch) {
        case (.token(let token), _) where token.generation == refused:
            guard forcedFetchesAgain <= now else { return .none }
            held = .suspect(token)
            switch fetch {
            case .underWay, .underWayOutdated: return .wait
            case .due(let due):
                // While fetches fail, one more 403 is no reason to hurry them.
                guard failuresInARow == 0 || due <= now else { return .none }
                fetch = .due(now)
                return .wait
            }
        case (.token(let token), _) where token.generation > refused && token.expires > now: return .token(token)
        case (_, .underWay), (_, .underWayOutdated): return .wait
        case (_, .due(let due)): return due <= now ? .wait : .none
        }
    }

    /// Amazon answered 403 to the same message once more, with a new token: the token is not the cause.
    mutating func refusedAgain(now: NIODeadline) {
        forcedFetchesAgain = now + Self.forcedFetchPause
    }
}

/// Why a message cannot be sent for want of a token.
package struct TokenUnavailable: Error, Equatable, Sendable {
    package var retryAfter: Duration
    package var failure: TokenFetchFailure?
}
