import NIOCore

/// How many frames a client may send that are part of no request: resets, settings, pings, and the like. They cost the client next to
/// nothing, and many of them are a flood (RFC 9113 section 10.5).
struct HTTP2FrameBudget {
    private static let limit = 1000
    private static let perSecond = 100
    /// What clients do beside a request: more of these frames for each than any needs.
    private static let perAnswer = 10

    private var left = limit
    private var filled: NIODeadline

    init(now: NIODeadline) {
        filled = now
    }

    /// False if it is used up.
    mutating func spend(now: NIODeadline) -> Bool {
        left -= 1
        guard left <= 0 else { return true }
        let gained = Int((now - filled).nanoseconds / (1_000_000_000 / Int64(Self.perSecond)))
        guard gained > 0 else { return false }
        filled = now
        left = min(Self.limit, left + gained)
        return true
    }

    /// A response was sent whole.
    mutating func answered() { left = min(Self.limit, left + Self.perAnswer) }
}
