import NIOCore
import Synchronization

/// How many there were in the last second, nearly: those of the current second of the clock, and of the one before as many as are not over
/// yet. One addition each, for all event loops.
struct RecentCount: ~Copyable, Sendable {
    /// For even and odd seconds: the second in the upper half, the count in the lower.
    private let even = Atomic<UInt64>(0)
    private let odd = Atomic<UInt64>(0)

    func count(now: NIODeadline) {
        let second = now.uptimeNanoseconds / 1_000_000_000
        if second.isMultiple(of: 2) { Self.count(second, in: even) } else { Self.count(second, in: odd) }
    }

    private static func count(_ second: UInt64, in slot: borrowing Atomic<UInt64>) {
        let old = slot.load(ordering: .relaxed)
        if old >> 32 == second & 0xFFFF_FFFF {
            slot.wrappingAdd(1, ordering: .relaxed)
        } else {
            // Where another thread was the first, one is not counted.
            _ = slot.compareExchange(expected: old, desired: second << 32 | 1, ordering: .relaxed)
        }
    }

    func value(now: NIODeadline) -> Int {
        let (second, rest) = now.uptimeNanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        let isEven = second.isMultiple(of: 2)
        let (current, last) = (load(isEven, second), load(!isEven, second &- 1))
        return current + Int(Double(last) * (1 - Double(rest) * 1e-9))
    }

    private func load(_ isEven: Bool, _ second: UInt64) -> Int {
        let value = isEven ? even.load(ordering: .relaxed) : odd.load(ordering: .relaxed)
        return value >> 32 == second & 0xFFFF_FFFF ? Int(value & 0xFFFF_FFFF) : 0
    }
}
