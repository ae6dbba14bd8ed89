import Testing

@testable import GatewayUpstream

final class FairQueueTests {
    private var queue = FairQueue<String>()

    private func first() -> String? { queue.popFirst() }

    private func all() -> [String] {
        var elements: [String] = []
        while let element = queue.popFirst() { elements.append(element) }
        return elements
    }

    @Test func `owners take turns, each with its oldest element`() {
        for element in ["a1", "a2", "a3", "a4"] { queue.append(element, of: 1) }
        queue.append("b1", of: 2)
        queue.append("c1", of: 3)
        queue.append("b2", of: 2)
        #expect(queue.count == 7)
        #expect(all() == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"])
        #expect(queue.isEmpty)
    }

    @Test func `an owner that comes back waits for its turn`() {
        queue.append("a1", of: 1)
        queue.append("b1", of: 2)
        #expect(first() == "a1")
        queue.append("a2", of: 1)
        #expect(all() == ["b1", "a2"])
    }

    @Test func `all can be changed where they stand`() {
        #expect(queue.first == nil)
        for element in ["a1", "a2"] { queue.append(element, of: 1) }
        queue.append("b1", of: 0)
        queue.updateAll { $0 += "x" }
        #expect(queue.first == "a1x")
        #expect(queue.count == 3 && all() == ["a1x", "b1x", "a2x"])
    }

    @Test func `what is over is taken out, and its owner's turn if nothing is left`() {
        for element in ["a1", "a2"] { queue.append(element, of: 1) }
        queue.append("b1", of: 2)
        let removed = queue.removeAll { $0 != "a2" }
        #expect(Set(removed) == ["a1", "b1"])
        #expect(queue.count == 1 && Array(queue.elements) == ["a2"])
        queue.append("b2", of: 2)
        #expect(all() == ["a2", "b2"])
    }
}
