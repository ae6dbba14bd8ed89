import GatewayCore
import NIOCore

/// What could not be settled yet: tried again until the server has taken it. Bounded; bound to its event loop.
///
/// Until a settlement has got through, a retry of its message finds an attempt in flight or in doubt and is not sent,
/// so being late costs an answer and never doubles a message.
final class SettlementBacklog {
    /// At most one message in flight leaves at most one behind; this is more than a loop has in flight in an outage.
    static let limit = 10_000
    /// Given to the server at once; the next follow when these have been replied to.
    private static let window = 64
    private static let firstPause = Duration.milliseconds(100)
    private static let longestPause = Duration.seconds(1)

    private struct Entry {
        var claim: IdempotencyClaim
        var settlement: Settlement
        var expires: NIODeadline
    }

    private let server: any IdempotencyRecordClient
    private let eventLoop: any EventLoop
    private let random: () -> Double
    private var entries = CircularBuffer<Entry>()
    private var inFlight = 0
    private var pause = SettlementBacklog.firstPause
    private var timer: Scheduled<Void>?
    /// Tries that failed, and settlements that were given up: no room, or the record had expired.
    private(set) var failures = 0
    private(set) var givenUp = 0

    init(server: any IdempotencyRecordClient, eventLoop: any EventLoop, random: @escaping () -> Double) {
        self.server = server
        self.eventLoop = eventLoop
        self.random = random
    }

    var count: Int { entries.count + inFlight }

    /// - Parameter made: when the settlement was made, if that is known: a process may have been paused since, and its record lives no longer
    ///   for it.
    func add(_ claim: IdempotencyClaim, _ settlement: Settlement, made: NIODeadline? = nil) {
        guard count < Self.limit else {
            givenUp += 1
            return
        }
        entries.append(Entry(claim: claim, settlement: settlement, expires: (made ?? eventLoop.now) + claim.retention))
        setTimer()
    }

    /// The server can be reached again.
    func serverAvailable() {
        pause = Self.firstPause
        settleNext()
    }

    private func setTimer() {
        guard timer == nil, inFlight == 0, !entries.isEmpty else { return }
        let delay = pause * (0.5 + random() / 2)
        timer = eventLoop.assumeIsolated().scheduleTask(deadline: eventLoop.now + delay) {
            self.timer = nil
            self.settleNext()
        }
    }

    private func settleNext() {
        guard inFlight == 0 else { return }
        timer?.cancel()
        timer = nil
        let now = eventLoop.now
        // Counted before the first is given, so that a reply that is there at once does not start the next round.
        let batch = entries.prefix(Self.window).filter { $0.expires > now }
        givenUp += min(Self.window, entries.count) - batch.count
        entries.removeFirst(min(Self.window, entries.count))
        inFlight = batch.count
        for entry in batch {
            var claim = entry.claim
            // However late: after its window, an equal message is another one.
            if claim.isBrief { claim.retention = entry.expires - now }
            server.settle(claim, entry.settlement) { self.settled(entry, $0) }
        }
    }

    private func settled(_ entry: Entry, _ result: Result<AcceptedResponse?, IdempotencyRecordError>) {
        inFlight -= 1
        switch result {
        case .success:
            pause = Self.firstPause
        case .failure:
            failures += 1
            entries.append(entry)
            pause = min(Self.longestPause, pause * 2)
        }
        guard inFlight == 0 else { return }
        if case .success = result { settleNext() } else { setTimer() }
    }
}
