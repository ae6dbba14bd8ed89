import NIOCore

/// Whether a queue stands: it has not been empty for a while.
///
/// As many are served from a queue that stands however long they have waited in it, so waiting long only makes all of
/// them late. Those who join it may wait for a short time only, as in Ben Maurer, "Fail at Scale" (ACM Queue 13:8,
/// 2015), after CoDel (RFC 8289). Pure: time is passed in.
struct StandingQueue: Sendable {
    private let limit: TimeAmount
    private var start = NIODeadline.distantPast

    /// - Parameter limit: a queue stands if it has not been empty for so long.
    init(after limit: TimeAmount) {
        self.limit = limit
    }

    /// Somebody joins now, behind so many others.
    ///
    /// - Returns: whether the queue stands.
    mutating func joined(behind others: Int, now: NIODeadline) -> Bool {
        if others == 0 { start = now }
        return now - start >= limit
    }
}
