package import NIOCore
import Synchronization

/// The quotas of all skills: of those that Amazon throttles, replicas tell each other four times a second who wants how much.
package final class SkillQuotas: Sendable {
    private struct Watched {
        var quota: SkillQuota
        var skill: String
        var region: Region
        /// The board has been asked, and has not answered.
        var isAsking = false
    }

    private struct State {
        /// By `Skill.recordID`. A skill that is gone keeps its quota, for as long as it may come back.
        var quotas: [String: ByRegion<SkillQuota>] = [:]
        var watched: [Watched] = []
        var timer: RepeatedTask?
        var isStopped = false
    }

    private let board: (any QuotaBoard)?
    private let timers: any EventLoop
    private let clock: @Sendable () -> NIODeadline
    private let state = Mutex(State())

    /// - Parameters:
    ///   - board: nil: this process has no replicas, or knows of none.
    ///   - timers: where timers run.
    package init(
        board: (any QuotaBoard)?, timers: any EventLoop, clock: @escaping @Sendable () -> NIODeadline = { .now() }
    ) {
        self.board = board
        self.timers = timers
        self.clock = clock
    }

    /// Those of one skill; the same ones whenever they are asked for.
    ///
    /// - Parameter skill: its `Skill.recordID`.
    package func quotas(of skill: String) -> ByRegion<SkillQuota> {
        state.withLock { state in
            if let known = state.quotas[skill] { return known }
            let quotas = ByRegion { region in
                SkillQuota(hasReplicas: board != nil) { [weak self] quota in
                    self?.watch(Watched(quota: quota, skill: skill, region: region))
                }
            }
            state.quotas[skill] = quotas
            return quotas
        }
    }

    private func watch(_ new: Watched) {
        state.withLock { state in
            guard !state.isStopped else { return }
            let isAsking = state.watched.contains { $0.quota === new.quota && $0.isAsking }
            state.watched.removeAll { $0.quota === new.quota }
            var new = new
            new.isAsking = isAsking
            state.watched.append(new)
            // What others see is wanted now.
            if board != nil { timers.execute { [weak self, new] in self?.exchange(new) } }
            guard state.timer == nil else { return }
            state.timer = timers.scheduleRepeatedTask(initialDelay: QuotaState.tick, delay: QuotaState.tick) {
                [weak self] _ in self?.tick()
            }
        }
    }

    private func tick() {
        for one in state.withLock({ $0.watched }) { exchange(one) }
    }

    private func exchange(_ one: Watched) {
        let now = clock()
        guard let report = one.quota.report(now: now) else { return stopWatching(one.quota) }
        guard let board else { return one.quota.use(own: report, of: now, others: [], now: now) }
        // Slower than a tick is as good as away.
        guard !one.isAsking else { return one.quota.use(own: report, of: now, others: nil, now: now) }
        setAsking(one.quota, true)
        board.exchange(report, of: one.skill, in: one.region) { [weak self] others in
            guard let self else { return }
            self.setAsking(one.quota, false)
            one.quota.use(own: report, of: now, others: others, now: self.clock())
        }
    }

    private func setAsking(_ quota: SkillQuota, _ isAsking: Bool) {
        state.withLock { state in
            guard let index = state.watched.firstIndex(where: { $0.quota === quota }) else { return }
            state.watched[index].isAsking = isAsking
        }
    }

    private func stopWatching(_ quota: SkillQuota) {
        state.withLock { state in
            // There may have been a 429 since, and the quota is to be watched all the same.
            guard !quota.isWatched else { return }
            state.watched.removeAll { $0.quota === quota }
            guard state.watched.isEmpty else { return }
            state.timer?.cancel()
            state.timer = nil
        }
    }

    package func stop() {
        state.withLock { state in
            state.isStopped = true
            state.timer?.cancel()
            state.timer = nil
        }
    }
}
