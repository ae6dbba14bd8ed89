import NIOCore

/// When a replica asks for permits of one rate, for how many, and what the replies mean. Pure: times and counts are passed in.
///
/// A replica has permits for at most a fifth of a second of the rate: so many are lost with it, and so long the others wait for theirs
/// when all want more than there is. It asks for those that it needs for ten seconds, so that one that needs few leaves the others theirs.
struct PermitLeases {
    private enum Phase {
        /// Can transition to: asking.
        case idle
        /// Can transition to: idle, reserved, away.
        case asking
        /// Permits are granted and come later. Can transition to: idle.
        case reserved(Reservation)
        /// The store could not be asked last time. Can transition to: idle, asking.
        case away
    }

    struct Reservation: Equatable {
        fileprivate var number: Int
        fileprivate(set) var permits: Int
    }

    /// What is to be done with a reply.
    enum Arrival: Equatable {
        case now(Int)
        /// Nanoseconds.
        case later(Reservation, in: Int64)
    }

    private static let foresight = Duration.seconds(10)

    private(set) var limit: RateLimit
    private var phase = Phase.idle
    /// Requests that were let through without permits, and of which the store does not know.
    private var passedAway = 0
    private var lastAsk: (at: NIODeadline, demand: Int, wanted: Int)?
    private var reservations = 0

    init(_ limit: RateLimit) {
        self.limit = limit
    }

    /// At most so many are at hand or come, but for those that are wanted at once.
    static func maximum(_ limit: RateLimit) -> Int { max(1, limit.perSecond / 5) }

    /// - Returns: whether it is another limit.
    mutating func use(_ limit: RateLimit) -> Bool {
        guard limit != self.limit else { return false }
        self.limit = limit
        if case .reserved = phase { phase = .idle }
        return true
    }

    var isAway: Bool { if case .away = phase { true } else { false } }

    /// Whether a request that finds no permit may wait for the reply to a question. Otherwise it is known already what it would be told.
    var mayWait: Bool {
        switch phase {
        case .idle, .asking: true
        case .reserved, .away: false
        }
    }

    /// What to ask for now; nil while a reply or permits are yet to come.
    ///
    /// - Parameters:
    ///   - waiting: requests that wait for a permit.
    ///   - demand: requests that wanted one, since the start.
    mutating func ask(
        waiting: Int, atHand: Int, demand: Int, now: NIODeadline
    ) -> PermitRequest? {
        guard case .idle = phase else { return nil }
        return question(waiting: waiting, atHand: atHand, demand: demand, now: now)
    }

    /// The same some time after the store was away; nil if it is not, or if nobody wants a permit any more: the next who does asks.
    ///
    /// - Parameters:
    ///   - wanted: requests since then.
    ///   - passed: those of them that were let through.
    mutating func askAgain(wanted: Int, passed: Int) -> PermitRequest? {
        guard case .away = phase else { return nil }
        passedAway += passed
        guard wanted > 0 else {
            phase = .idle
            return nil
        }
        // The reply may be lost again, and permits with it: none are asked for.
        phase = .asking
        return PermitRequest(limit: limit, wanted: 0)
    }

    private mutating func question(
        waiting: Int, atHand: Int, demand: Int, now: NIODeadline
    ) -> PermitRequest {
        phase = .asking
        let room = max(1, Self.maximum(limit) - max(0, atHand))
        let expected = min(expected(demand, now), room)
        let wanted = max(waiting, expected) + max(0, -atHand)
        lastAsk = (now, demand, expected)
        return PermitRequest(limit: limit, wanted: wanted, passedAway: passedAway)
    }

    /// How many are needed for a while, as many as were since the last question. At most twice as many as last time: two requests within a
    /// millisecond are no thousand a second.
    private func expected(_ demand: Int, _ now: NIODeadline) -> Int {
        guard let lastAsk else { return 1 }
        let seconds = max(0.001, Duration(from: lastAsk.at, to: now).inSeconds)
        let expected = Double(max(0, demand - lastAsk.demand)) / seconds * Self.foresight.inSeconds
        return max(1, min(Int(min(expected.rounded(.up), 1_000_000)), lastAsk.wanted * 2))
    }

    mutating func replied(_ lease: PermitLease) -> Arrival {
        // That the store is there again was asked for without a permit, and it has not been told yet.
        if lease.permits > 0 { passedAway = 0 }
        guard lease.permits > 0, lease.wait > 0 else {
            phase = .idle
            return .now(lease.permits)
        }
        reservations += 1
        let reservation = Reservation(number: reservations, permits: lease.permits)
        phase = .reserved(reservation)
        return .later(reservation, in: lease.wait)
    }

    /// The permits that were reserved are there; nil if they are of another limit than the one that counts now.
    mutating func arrived(_ reservation: Reservation) -> Int? {
        guard case .reserved(reservation) = phase else { return nil }
        phase = .idle
        return reservation.permits
    }

    mutating func failed() { phase = .away }
}
