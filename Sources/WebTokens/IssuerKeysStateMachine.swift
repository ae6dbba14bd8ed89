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
    /// Between two fetches: whoever makes up tokens does not make us ask more often.
    static let shortestPause = Duration.seconds(1)
    static let longestPause = Duration.seconds(60)
    /// So long ago may the issuer have been asked for its answer to count as its latest.
    static let freshness = Duration.seconds(3)

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
        hurriesAgain = now + Self.shortestPause
    }

    mutating func failed(random: Double, now: NIODeadline) {
        failuresInARow += 1
        let backoff = min(Self.shortestPause * (1 << min(failuresInARow - 1, 16)), Self.longestPause)
        fetch = .due(now + max(Self.shortestPause / 2, backoff * (0.5 + 0.5 * random)))
        hurriesAgain = now + Self.shortestPause
    }

    /// A token names a key that is not there. A fetch that is due later is due sooner.
    ///
    /// - Returns: whether it makes sense to wait for the next fetch to end; `timeTriggered` is to be called then.
    mutating func hurry(now: NIODeadline) -> Bool {
        switch fetch {
        // One that has just begun will tell of a key that is new. What takes long may never end.
        case .underWay(let since): return Duration(from: since, to: now) < Self.freshness
        case .due(let due):
            guard due > hurriesAgain else { return true }
            // While fetches fail, no message is kept waiting for one that is not due yet.
            guard !isFailing || hurriesAgain <= now else { return false }
            fetch = .due(max(now, hurriesAgain))
            return true
        }
    }

    /// A key is not there: how long until it makes sense to ask for it again; nil if the issuer has just been asked, and has no
    /// such key.
    func retryAfter(now: NIODeadline) -> Duration? {
        if !isFailing, let fetched, Duration(from: fetched, to: now) < Self.freshness { return nil }
        guard case .due(let due) = fetch, due > now else { return Self.shortestPause }
        return Duration(from: now, to: due)
    }
}
