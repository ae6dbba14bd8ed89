import NIOCore

/// Elements of several owners, who take turns. Whoever bounds it lets the owner that has most of them lose its oldest, so that one
/// with many displaces nobody else's.
package struct FairBuffer<Owner: Hashable & Sendable, Element> {
    /// By owner, each in the order in which they came; never empty ones.
    private var lanes: [Owner: CircularBuffer<Element>] = [:]
    /// Owners that have elements, the one whose turn it is first.
    private var turns = CircularBuffer<Owner>()
    package private(set) var count = 0

    package init() {}

    package var isEmpty: Bool { count == 0 }

    /// All of them, in no particular order.
    package var elements: some Sequence<Element> { lanes.values.joined() }

    package mutating func append(_ element: Element, of owner: Owner) {
        if lanes[owner] == nil { turns.append(owner) }
        lanes[owner, default: CircularBuffer()].append(element)
        count += 1
    }

    /// The oldest element of the owner that has most of them.
    package mutating func removeOldestOfLargest() -> Element? {
        // Not with the lane in hand, which would be copied.
        let largest = lanes.max { $0.value.count < $1.value.count }?.key
        return largest.flatMap { removeFirst(of: $0) }
    }

    /// Owners that have elements, and how many.
    package var counts: [Owner: Int] { lanes.mapValues(\.count) }

    /// The oldest element of the owner whose turn it is.
    package mutating func popFirst() -> Element? {
        guard let owner = turns.first, let element = removeFirst(of: owner) else { return nil }
        if lanes[owner] != nil { turns.append(turns.removeFirst()) }
        return element
    }

    /// Takes out those for which `isOver` is true.
    package mutating func removeAll(where isOver: (Element) -> Bool) -> [Element] {
        var removed: [Element] = []
        for owner in Array(turns) {
            lanes[owner]?.removeAll { element in
                guard isOver(element) else { return false }
                removed.append(element)
                return true
            }
            removeIfEmpty(owner)
        }
        count -= removed.count
        return removed
    }

    package mutating func removeFirst(of owner: Owner) -> Element? {
        guard let element = lanes[owner]?.popFirst() else { return nil }
        count -= 1
        removeIfEmpty(owner)
        return element
    }

    private mutating func removeIfEmpty(_ owner: Owner) {
        guard lanes[owner]?.isEmpty == true else { return }
        lanes[owner] = nil
        turns.removeAll { $0 == owner }
    }
}

extension FairBuffer: Sendable where Element: Sendable {}
