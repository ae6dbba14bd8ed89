import TestSupport
import Testing

@testable import GatewayUpstream

@Suite struct SlotMapTests {
    @Test func `a place that is used again is not mistaken for what was there before`() {
        var identifiers = SlotIdentifiers()
        var table = SlotMap<String>()
        let first = identifiers.take()
        table[first] = "first"
        #expect(table.removeValue(forKey: first) == "first")
        identifiers.release(first)
        let second = identifiers.take()
        #expect(SlotIdentifiers.slot(of: first) == SlotIdentifiers.slot(of: second) && first != second)
        table[second] = "second"
        #expect(table[first] == nil && table.removeValue(forKey: first) == nil)
        table[first] = nil
        #expect(table[second] == "second" && table.count == 1)
    }

    @Test func `it behaves as a dictionary does`() {
        var generator = SeededGenerator(seed: 3)
        var identifiers = SlotIdentifiers()
        var table = SlotMap<Int>()
        var dictionary: [Int: Int] = [:]
        for step in 0..<20_000 {
            if Bool.random(using: &generator) || dictionary.isEmpty {
                let id = identifiers.take()
                #expect(dictionary[id] == nil)
                table[id] = step
                dictionary[id] = step
            } else if let id = dictionary.keys.randomElement(using: &generator) {
                #expect(table[id] == dictionary[id])
                #expect(table.removeValue(forKey: id) == dictionary.removeValue(forKey: id))
                identifiers.release(id)
            }
            #expect(table.count == dictionary.count && table.isEmpty == dictionary.isEmpty)
        }
        #expect(table.values.sorted() == dictionary.values.sorted())
    }
}
