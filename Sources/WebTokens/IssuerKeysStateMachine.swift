import GatewayCore
import NIOCore

/// When to fetch the keys of an issuer, and what is known without one. Pure: time and chance are passed in.
///
/// Keys that are there are used for as long as the issuer cannot be asked.
struct IssuerKeysStateMachine {
    enum FetchAction: Equatable {
        case fetch
        case waitUntil(NIODeadline)
    }

    private enum Fetch: Equatable {
        /// Can transition to: underWay.
        case due(NIODeadline)
        /// Can transition to: due.
        case underWay(since: NIODeadline)
    }

    /// Between two fetches that nobody hurries.
    static let refreshPause = Duration.seconds(300)
    /// Between the beginnings of two fetches: whoever makes up tokens does not make us ask more often.
    static let shortestPause = Duration.seconds(1)
    static let longestPause = Duration.seconds(60)
    /// Between two fetches while they fail, however many tokens ask for one.
    static let longestPauseWithTokens = Duration.seconds(5)
    /// A fetch that has taken so long is not waited for: it may never end.
    static let longestWait = Duration.seconds(3)

    private var fetch: Fetch
    private var failuresInARow = 0
    /// Not before this may a missing key hurry a fetch that is due later.
    private var hurriesAgain: NIODeadline
    /// When the keys that are there were asked for.
    private(set) var fetched: NIODeadline?

    init(now: NIODeadline) {
        fetch = .due(now)
        hurriesAgain = now
    }

    var isFailing: Bool { failuresInARow > 0 }

    mutating func timeTriggered(now: NIODeadline) -> FetchAction? {
        guard case .due(let due) = fetch else { return nil }
        guard due <= now else { return .waitUntil(due) }
        fetch = .underWay(since: now)
        return .fetch
    }

    /// - Parameter random: from 0 up to 1, so that replicas do not ask together.
    mutating func succeeded(random: Double, now: NIODeadline) {
        guard case .underWay(let since) = fetch else { return }
        fetched = since
        failuresInARow = 0
        fetch = .due(now + Self.refreshPause * (0.9 + 0.2 * random))
        hurriesAgain = since + Self.shortestPause
    }

    mutating func failed(random: Double, now: NIODeadline) {
        failuresInARow += 1
        let backoff = min(Self.shortestPause * (1 << min(failuresInARow - 1, 16)), Self.longestPause)
        let pause = max(Self.shortestPause, backoff * (0.5 + 0.5 * random))
        fetch = .due(now + pause)
        hurriesAgain = now + min(pause, Self.longestPauseWithTokens)
    }

    /// A token names a key that is not here. A fetch that is due later is due sooner.
    ///
    /// - Returns: nil if it makes sense to wait for the end of the next fetch, and `timeTriggered` is to be called then; else how long
    ///   until it makes sense to ask again.
    mutating func hurry(now: NIODeadline) -> Duration? {
        switch fetch {
        case .underWay(let since): return Duration(from: since, to: now) < Self.longestWait ? nil : Self.shortestPause
        case .due(let due):
            let hurried = max(now, hurriesAgain)
            // While fetches fail, no message is kept waiting for one that is not due yet.
            guard !isFailing || min(due, hurried) <= now else { return Duration(from: now, to: min(due, hurried)) }
            if due > hurried { fetch = .due(hurried) }
            return nil
        }
    }
}
