import NIOCore
import Synchronization

/// What Amazon takes of a skill in one region, divided between the callers. For all event loops.
///
/// Costs a message a look at a flag and an addition to a counter that all event loops share; a lock only while Amazon throttles the skill, and
/// for a minute after that.
package final class SkillQuota: Sendable {
    typealias Verdict = QuotaState.Verdict

    private let isWatching = Atomic<Bool>(false)
    private let state = Mutex<QuotaState?>(nil)
    private let letThrough = RecentCount()
    /// Whose message Amazon let through last, and when that was another caller's than the one before, in nanoseconds.
    private let lastCaller = Atomic<Int>(-1)
    private let lastChange = Atomic<UInt64>(0)
    /// A caller that has sent nothing for so long counts no more.
    private static let activityWindow = TimeAmount.seconds(2)
    private let hasReplicas: Bool
    private let onThrottled: @Sendable (SkillQuota) -> Void

    /// - Parameters:
    ///   - hasReplicas: what others see can be heard.
    ///   - onThrottled: called with the first 429, on any thread; `report` is to be called from then on.
    init(hasReplicas: Bool, onThrottled: @escaping @Sendable (SkillQuota) -> Void) {
        self.hasReplicas = hasReplicas
        self.onThrottled = onThrottled
    }

    /// - Returns: nil if a message of the caller may be sent; else the nanoseconds until the next one may.
    func admit(_ caller: Caller, now: @autoclosure () -> NIODeadline) -> Int64? {
        guard isWatching.load(ordering: .relaxed) else { return nil }
        let now = now()
        return state.withLock { $0?.admit(caller, now: now) }
    }

    /// Amazon answered a message.
    ///
    /// - Parameter isRepeated: it was answered 429 before.
    /// - Returns: what becomes of it.
    func answered(_ caller: Caller, status: Int, isRepeated: Bool, now: NIODeadline) -> Verdict {
        let isThrottled = status == 429
        // Errors of Amazon's and tokens that it refuses say nothing of how much it takes.
        guard isThrottled || (status < 500 && status != 401 && status != 403) else { return .forward }
        if !isThrottled { countLetThrough(caller, now: now) }
        guard isThrottled || isWatching.load(ordering: .relaxed) else { return .forward }
        let (verdict, isFirst) = state.withLock { state in
            let isFirst = isThrottled && state == nil
            if isFirst {
                var new = QuotaState(
                    letThrough: letThrough.value(now: now), isShared: isShared(with: caller, now: now),
                    hasReplicas: hasReplicas, now: now)
                // This one was sent before anybody counted.
                _ = new.admit(caller, now: now)
                state = new
                isWatching.store(true, ordering: .relaxed)
            }
            state?.answered(caller, isThrottled: isThrottled, isRepeated: isRepeated)
            return (isThrottled ? state?.verdict(on: caller, now: now) ?? .forward : .forward, isFirst)
        }
        if isFirst { onThrottled(self) }
        return verdict
    }

    private func countLetThrough(_ caller: Caller, now: NIODeadline) {
        letThrough.count(now: now)
        guard lastCaller.load(ordering: .relaxed) != caller.label else { return }
        lastCaller.store(caller.label, ordering: .relaxed)
        // Callers that take turns are not to write it with each message.
        let change = lastChange.load(ordering: .relaxed)
        if now.uptimeNanoseconds > change &+ 100_000_000 { lastChange.store(now.uptimeNanoseconds, ordering: .relaxed) }
    }

    private func isShared(with caller: Caller, now: NIODeadline) -> Bool {
        let change = NIODeadline.uptimeNanoseconds(lastChange.load(ordering: .relaxed))
        return lastCaller.load(ordering: .relaxed) != caller.label || now - change < Self.activityWindow
    }

    /// A message that was answered 429 has waited.
    func verdictAfterWait(on caller: Caller, now: NIODeadline) -> Verdict {
        state.withLock { $0?.verdict(on: caller, hasWaited: true, now: now) ?? .forward }
    }

    /// A message begins to wait for a verdict, or to be sent again; false if too many of the caller do.
    func hold(_ caller: Caller) -> Bool { state.withLock { $0?.hold(caller) ?? false } }

    func release(_ caller: Caller) { state.withLock { $0?.release(caller) } }

    // MARK: Time

    var isWatched: Bool { isWatching.load(ordering: .relaxed) }

    /// - Returns: what other replicas are to know; nil: it is no longer to be called.
    func report(now: NIODeadline) -> QuotaReport? {
        state.withLock { state in
            if let report = state?.report(now: now) { return report }
            state = nil
            isWatching.store(false, ordering: .relaxed)
            return nil
        }
    }

    func use(own: QuotaReport, of time: NIODeadline, others: [QuotaReport]?, now: NIODeadline) {
        state.withLock { $0?.use(own: own, of: time, others: others, now: now) }
    }

    /// Messages a second that Amazon takes, of all replicas together, as far as is known; nil unless it throttles the skill.
    package var perSecond: Double? { state.withLock { $0?.perSecond } }
}
