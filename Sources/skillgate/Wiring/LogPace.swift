import NIOCore

/// Says which lines of a log are due, where a lasting fault would repeat them without end: of each kind at most one every 10 s.
struct LogPace<Kind: Hashable> {
    private var quietUntil: [Kind: NIODeadline] = [:]

    /// Whether a line of this kind is written now; if so, the next is not for a while.
    mutating func isDue(_ kind: Kind, now: NIODeadline) -> Bool {
        guard quietUntil[kind] ?? now <= now else { return false }
        quietUntil[kind] = now + .seconds(10)
        return true
    }
}
