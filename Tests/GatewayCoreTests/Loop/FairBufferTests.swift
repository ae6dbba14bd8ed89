import Testing

@testable import GatewayCore

@Suite struct FairBufferTests {
    @Test func `who has most makes room`() {
        var buffer = FairBuffer<String, Int>(limit: 4)
        #expect(buffer.append(100, of: "quiet") == nil)
        for number in 0..<3 { #expect(buffer.append(number, of: "flood") == nil) }
        for number in 3..<100 { #expect(buffer.append(number, of: "flood") == number - 3) }
        #expect(buffer.append(101, of: "quiet") == 97)
        #expect(buffer.count == 4 && Set(buffer.elements) == [100, 101, 98, 99])
    }

    @Test func `owners take turns, each in order`() {
        var buffer = FairBuffer<String, Int>(limit: 10)
        for number in 0..<4 { _ = buffer.append(number, of: "flood") }
        for number in 10..<12 { _ = buffer.append(number, of: "quiet") }
        var order: [Int] = []
        while let element = buffer.popFirst() { order.append(element) }
        #expect(order == [0, 10, 1, 11, 2, 3])
        #expect(buffer.isEmpty && buffer.popFirst() == nil)
    }

    @Test func `what is taken out from the middle leaves the rest in order`() {
        var buffer = FairBuffer<String, Int>(limit: 10)
        for number in 0..<4 { _ = buffer.append(number, of: "one") }
        _ = buffer.append(5, of: "other")
        #expect(Set(buffer.removeAll { $0 % 2 == 1 }) == [1, 3, 5])
        #expect(buffer.count == 2 && buffer.popFirst() == 0)
        _ = buffer.append(7, of: "other")
        #expect(buffer.popFirst() == 2 && buffer.popFirst() == 7 && buffer.popFirst() == nil)
    }
}
