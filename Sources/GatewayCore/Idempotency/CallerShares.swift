import Synchronization

/// How many records each caller has in the memory store, and how many it may have for certain: all of them have an equal share
/// of the room, and use more while others leave it free.
///
/// Held records cannot be evicted, so that nobody may have more of them than its share: whoever is above it has settled records
/// that can go. So there always is room for a caller that is below its share.
final class CallerShares: Sendable {
    /// Of one caller. Changed under the lock of whichever shard has the record.
    final class Records: Sendable {
        let all = Atomic<Int>(0)
        let held = Atomic<Int>(0)
        let evicted = Atomic<Int>(0)
    }

    let limit: Int
    private let total = Atomic<Int>(0)
    private let callers = Mutex<[Records]>([])
    private let callerCount = Atomic<Int>(1)

    init(limit: Int) {
        self.limit = limit
    }

    /// The room is shared by so many callers from now on.
    func share(among callers: Int) {
        callerCount.store(max(1, callers), ordering: .relaxed)
    }

    /// Records that are there for each caller, at least.
    var share: Int { max(1, limit / callerCount.load(ordering: .relaxed)) }

    /// Records of all callers.
    var count: Int { total.load(ordering: .relaxed) }

    var isFull: Bool { count >= limit }
    var isOverfull: Bool { count > limit }

    func records(of caller: Int) -> Records {
        callers.withLock { callers in
            while callers.count <= caller { callers.append(Records()) }
            return callers[caller]
        }
    }

    /// A record of this caller became another.
    ///
    /// - Parameters:
    ///   - wasHeld, isHeld: nil where there was none, or is none any more.
    func changed(_ records: Records, wasHeld: Bool?, isHeld: Bool?) {
        let all = (isHeld == nil ? 0 : 1) - (wasHeld == nil ? 0 : 1)
        if all != 0 {
            total.add(all, ordering: .relaxed)
            records.all.add(all, ordering: .relaxed)
        }
        let held = (isHeld == true ? 1 : 0) - (wasHeld == true ? 1 : 0)
        if held != 0 { records.held.add(held, ordering: .relaxed) }
    }

    /// The caller that has most of all; nil if nobody has more than its share.
    func caller(aboveShare share: Int) -> Int? {
        callers.withLock { callers in
            var most: (caller: Int, count: Int)?
            for (caller, records) in callers.enumerated() {
                let count = records.all.load(ordering: .relaxed)
                if count > most?.count ?? share { most = (caller, count) }
            }
            return most?.caller
        }
    }

    /// By caller's label.
    var evictions: [Int] {
        callers.withLock { callers in callers.map { $0.evicted.load(ordering: .relaxed) } }
    }
}
