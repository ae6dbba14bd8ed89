import NIOCore

/// Elements of several owners in a bounded buffer. When it is full, the owner that has most of them loses its oldest, so that
/// one with many displaces nobody else's.
package struct FairBuffer<Owner: Hashable & Sendable, Element> {
    private let limit: Int
    /// By owner, each in the order in which they came; never empty ones.
    private var lanes: [Owner: CircularBuffer<Element>] = [:]
    /// Owners that have elements, the one whose turn it is first.
    private var turns = CircularBuffer<Owner>()
    package private(set) var count = 0

    package init(limit: Int) {
        self.limit = max(1, limit)
    }

    package var isEmpty: Bool { count == 0 }

    /// All of them, in no particular order.
    package var elements: some Sequence<Element> { lanes.values.joined() }

    /// - Returns: the element that lost its place; nil while there is room.
    package mutating func append(_ element: Element, of owner: Owner) -> Element? {
        if lanes[owner] == nil { turns.append(owner) }
        lanes[owner, default: CircularBuffer()].append(element)
        count += 1
        guard count > limit, let largest = lanes.max(by: { $0.value.count < $1.value.count })?.key else { return nil }
        return removeFirst(of: largest)
    }

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

    private mutating func removeFirst(of owner: Owner) -> Element? {
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
