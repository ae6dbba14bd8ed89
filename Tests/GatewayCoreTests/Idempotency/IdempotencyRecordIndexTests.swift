import TestSupport
import Testing

@testable import GatewayCore

@Suite struct IdempotencyRecordIndexTests {
    private func scope(_ number: Int) -> IdempotencyScope { IdempotencyScope(words: (UInt64(number), 0, 0, 0)) }

    @Test func `finds what was inserted and not removed, while it grows and shrinks`() {
        var generator = SeededGenerator(seed: 5)
        var index = IdempotencyRecordIndex(parts: 4)
        var slots: [Int: UInt32] = [:]
        func position(of number: Int) -> IdempotencyRecordIndex.Position? {
            index.position(of: scope(number)) { $0 == slots[number] }
        }
        for step in 0..<20_000 as Range<UInt32> {
            let number = Int.random(in: 0..<(step < 10_000 ? 3_000 : 30), using: &generator)
            if let found = position(of: number) {
                #expect(index.slot(at: found) == slots[number])
                index.remove(at: found)
                slots[number] = nil
            } else {
                #expect(slots[number] == nil)
                slots[number] = step
                index.insert(step, scope(number))
            }
        }
        for number in 0..<3_000 { #expect((position(of: number) == nil) == (slots[number] == nil)) }
    }

    @Test func `two scopes with one placement are told apart by their records`() {
        var index = IdempotencyRecordIndex(parts: 4)
        index.insert(7, scope(1))
        index.insert(8, scope(1))
        #expect(index.position(of: scope(1)) { $0 == 7 }.map { index.slot(at: $0) } == 7)
        #expect(index.position(of: scope(1)) { $0 == 8 }.map { index.slot(at: $0) } == 8)
        #expect(index.position(of: scope(1)) { _ in false } == nil)
    }
}
