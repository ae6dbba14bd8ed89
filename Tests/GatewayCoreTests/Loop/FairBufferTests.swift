import Testing

@testable import GatewayCore

@Suite struct FairBufferTests {
    @Test func `who has most makes room`() {
        var buffer = FairBuffer<String, Int>()
        buffer.append(100, of: "quiet")
        for number in 0..<3 { buffer.append(number, of: "flood") }
        for number in 3..<100 {
            buffer.append(number, of: "flood")
            let displaced = buffer.removeOldestOfLargest()
            #expect(displaced == number - 3)
        }
        buffer.append(101, of: "quiet")
        let displaced = buffer.removeOldestOfLargest()
        #expect(displaced == 97)
        #expect(buffer.count == 4 && Set(buffer.elements) == [100, 101, 98, 99])
    }

    @Test func `owners take turns, each in order`() {
        var buffer = FairBuffer<String, Int>()
        for number in 0..<4 { buffer.append(number, of: "flood") }
        for number in 10..<12 { buffer.append(number, of: "quiet") }
        var order: [Int] = []
        while let element = buffer.popFirst() { order.append(element) }
        #expect(order == [0, 10, 1, 11, 2, 3])
        #expect(buffer.isEmpty && buffer.popFirst() == nil)
    }

    @Test func `what is taken out from the middle leaves the rest in order`() {
        var buffer = FairBuffer<String, Int>()
        for number in 0..<4 { buffer.append(number, of: "one") }
        buffer.append(5, of: "other")
        #expect(Set(buffer.removeAll { $0 % 2 == 1 }) == [1, 3, 5])
        #expect(buffer.count == 2 && buffer.popFirst() == 0)
        buffer.append(7, of: "other")
        #expect(buffer.popFirst() == 2 && buffer.popFirst() == 7 && buffer.popFirst() == nil)
    }
}
