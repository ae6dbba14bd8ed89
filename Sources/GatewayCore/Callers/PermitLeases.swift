import NIOCore

/// When a replica asks for permits of one rate, for how many, and what the replies mean. Pure: times and counts are passed in.
///
/// A replica has permits for at most a fifth of a second of the rate: so many are lost with it, and so long the others wait for theirs
/// when all want more than there is. It asks for those that it needs for ten seconds, so that one that needs few leaves the others theirs.
struct PermitLeases {
    /// What is to be done with a reply.
    enum Arrival: Equatable {
        case now(Int)
        /// Nanoseconds.
        case later(Int, in: Int64)
    }

    private static let foresight = Duration.seconds(10)

    /// That of the last question.
    private(set) var limit: RateLimit
    private var isAsking = false
    /// Permits that are granted and come later.
    private var reserved: Int?
    /// The server could not be asked last time.
    private(set) var isAway = false
    private var lastAsk: (at: NIODeadline, demand: Int)?

    init(_ limit: RateLimit) {
        self.limit = limit
    }

    /// At most so many are at hand or come, but for those that are wanted at once.
    static func maximum(_ limit: RateLimit) -> Int { max(1, limit.perSecond / 5) }

    /// What to ask for now; nil while a reply or permits are yet to come.
    ///
    /// - Parameters:
    ///   - waiting: requests that wait for a permit.
    ///   - demand: requests that wanted one, since the start.
    mutating func ask(
        _ limit: RateLimit, waiting: Int, atHand: Int, demand: Int, now: NIODeadline
    ) -> PermitRequest? {
        guard !isAsking, reserved == nil else { return nil }
        isAsking = true
        self.limit = limit
        let room = max(1, Self.maximum(limit) - max(0, atHand))
        let wanted = max(waiting, min(expected(demand, now), room)) + max(0, -atHand)
        lastAsk = (now, demand)
        return PermitRequest(limit: limit, wanted: wanted, wasAway: isAway)
    }

    /// How many are needed for a while, as many as were since the last question.
    private func expected(_ demand: Int, _ now: NIODeadline) -> Int {
        guard let lastAsk else { return 1 }
        let seconds = max(0.001, Duration(from: lastAsk.at, to: now).inSeconds)
        let expected = Double(max(0, demand - lastAsk.demand)) / seconds * Self.foresight.inSeconds
        return max(1, Int(min(expected.rounded(.up), 1_000_000)))
    }

    mutating func replied(_ lease: PermitLease) -> Arrival {
        (isAsking, isAway) = (false, false)
        guard lease.wait > 0 else { return .now(lease.permits) }
        reserved = lease.permits
        return .later(lease.permits, in: lease.wait)
    }

    /// What was reserved is there; nil if it has been given up meanwhile.
    mutating func arrived() -> Int? { reserved.take() }

    mutating func failed() {
        (isAsking, isAway) = (false, true)
    }
}
