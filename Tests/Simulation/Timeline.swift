import NIOCore
import TestSupport

/// Virtual time: what is to happen, in order, and the dice that decide what does.
final class Timeline {
    private struct Event {
        var time: NIODeadline
        /// In the order of making, for those at the same time.
        var number: Int
        var action: () -> Void
    }

    private(set) var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private var heap: [Event] = []
    private var made = 0
    private var generator: SeededGenerator

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
    }

    // MARK: Dice

    func chance(_ probability: Double) -> Bool { fraction() < probability }

    /// From 0 up to 1.
    func fraction() -> Double { Double.random(in: 0..<1, using: &generator) }

    func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }

    func milliseconds(_ range: ClosedRange<Int>) -> Duration { .microseconds(number(range) * 1000 + number(0...999)) }

    func element<Element>(_ elements: [Element]) -> Element { elements[number(0...elements.count - 1)] }

    // MARK: Events

    func after(_ delay: Duration, _ action: @escaping () -> Void) { at(now + TimeAmount(delay), action) }

    func at(_ time: NIODeadline, _ action: @escaping () -> Void) {
        made += 1
        heap.append(Event(time: max(now, time), number: made, action: action))
        var child = heap.count - 1
        while child > 0, isBefore(child, (child - 1) / 2) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// Goes to the next event, if it comes before `end`. False at the end.
    func advance(until end: NIODeadline, _ arrive: (NIODeadline) -> Void) -> Bool {
        guard let first = heap.first, first.time <= end else {
            now = end
            arrive(end)
            return false
        }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink()
        }
        now = first.time
        arrive(now)
        first.action()
        return true
    }

    private func sink() {
        var parent = 0
        while true {
            var smallest = parent
            for child in [parent * 2 + 1, parent * 2 + 2] where child < heap.count && isBefore(child, smallest) {
                smallest = child
            }
            if smallest == parent { return }
            heap.swapAt(parent, smallest)
            parent = smallest
        }
    }

    private func isBefore(_ one: Int, _ other: Int) -> Bool {
        (heap[one].time, heap[one].number) < (heap[other].time, heap[other].number)
    }
}
