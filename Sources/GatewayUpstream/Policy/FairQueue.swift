import NIOCore

/// Elements of several owners: each owner's in the order in which they came, and the owners in turn, so that one with
/// many does not keep the others waiting.
struct FairQueue<Element> {
    /// By owner. Empty ones are kept: their memory serves for the next element.
    private var lanes: [CircularBuffer<Element>] = []
    /// Owners that have elements, the one whose turn it is first.
    private var turns = CircularBuffer<Int>()
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// All of them, in no particular order.
    var elements: some Sequence<Element> { lanes.joined() }

    /// - Parameter owner: a small number, not negative.
    mutating func append(_ element: Element, of owner: Int) {
        while lanes.count <= owner { lanes.append(CircularBuffer()) }
        if lanes[owner].isEmpty { turns.append(owner) }
        lanes[owner].append(element)
        count += 1
    }

    /// The one that `popFirst` takes next.
    var first: Element? { turns.first.flatMap { lanes[$0].first } }

    /// Changes each where it stands.
    mutating func updateAll(_ change: (inout Element) -> Void) {
        for owner in lanes.indices {
            for index in lanes[owner].indices { change(&lanes[owner][index]) }
        }
    }

    mutating func popFirst() -> Element? {
        guard let owner = turns.popFirst(), let element = lanes[owner].popFirst() else { return nil }
        count -= 1
        if !lanes[owner].isEmpty { turns.append(owner) }
        return element
    }

    /// Takes out those for which `isOver` is true.
    mutating func removeAll(where isOver: (Element) -> Bool) -> [Element] {
        var removed: [Element] = []
        for owner in lanes.indices where !lanes[owner].isEmpty {
            lanes[owner].removeAll { element in
                guard isOver(element) else { return false }
                removed.append(element)
                return true
            }
            if lanes[owner].isEmpty { turns.removeAll { $0 == owner } }
        }
        count -= removed.count
        return removed
    }
}
