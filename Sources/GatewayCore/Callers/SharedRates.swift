package import NIOCore
import Synchronization

/// The rates that count over all replicas, and how many replicas there are.
package final class SharedRates: Sendable {
    /// What became of all of them, since the start.
    package struct Statistics: Equatable, Sendable {
        package var rates = SharedRate.Statistics()
        /// As far as is known; nil: the store has not said it yet.
        package var replicas: Int?

        package init() {}
    }

    /// Says this often that this replica is there; until it has been heard, with every tick.
    private static let pause = TimeAmount.seconds(10)
    private static let tick = TimeAmount.seconds(1)

    private let client: any PermitClient
    private let timers: any EventLoop
    private let clock: @Sendable () -> NIODeadline
    /// By `Caller.recordID`. A caller that is gone keeps its rate, for as long as it may come back.
    private let rates = Mutex<[String: SharedRate]>([:])
    private let timer = Mutex<RepeatedTask?>(nil)
    private let replicas = ReplicaCount()
    private let nextCount = Atomic<UInt64>(0)

    /// - Parameter timers: where timers run.
    package init(
        client: any PermitClient, timers: any EventLoop, clock: @escaping @Sendable () -> NIODeadline = { .now() }
    ) {
        self.client = client
        self.timers = timers
        self.clock = clock
    }

    /// That of one caller; the same one whenever it is asked for. Which limit counts each request says.
    package func rate(of caller: String, _ limit: RateLimit) -> SharedRate {
        startCounting()
        return rates.withLock { rates in
            if let known = rates[caller] { return known }
            let rate = SharedRate(
                limit, of: caller, client: client, timers: timers, replicas: replicas, clock: clock)
            rates[caller] = rate
            return rate
        }
    }

    private func startCounting() {
        timer.withLock { timer in
            guard timer == nil else { return }
            timer = timers.scheduleRepeatedTask(initialDelay: .zero, delay: Self.tick) { [weak self] _ in
                self?.countWhenDue()
            }
        }
    }

    private func countWhenDue() {
        let now = clock()
        guard replicas.known == nil || now.uptimeNanoseconds >= nextCount.load(ordering: .relaxed) else { return }
        nextCount.store((now + Self.pause).uptimeNanoseconds, ordering: .relaxed)
        client.countReplicas { [replicas] count in
            if let count { replicas.counted(count) }
        }
    }

    package func stop() {
        timer.withLock { $0 }?.cancel()
        for rate in rates.withLock({ Array($0.values) }) { rate.stop() }
    }

    /// Nil as long as no caller has such a rate.
    package var statistics: Statistics? {
        guard timer.withLock({ $0 != nil }) else { return nil }
        var statistics = Statistics()
        for rate in rates.withLock({ Array($0.values) }) { statistics.rates.add(rate.statistics) }
        statistics.replicas = replicas.known
        return statistics
    }
}

/// How many replicas there are.
final class ReplicaCount: Sendable {
    /// 0: unknown.
    private let count = Atomic<Int>(0)

    func counted(_ count: Int) { self.count.store(count, ordering: .relaxed) }

    /// As far as the store has said it.
    var known: Int? {
        let count = count.load(ordering: .relaxed)
        return count > 0 ? count : nil
    }

    /// What is counted on: at least this one.
    var assumed: Int { known ?? 1 }
}
