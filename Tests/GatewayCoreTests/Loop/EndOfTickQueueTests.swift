import NIOEmbedded
import Testing

@testable import GatewayCore

@Suite struct EndOfTickQueueTests {
    private final class Log {
        var done: [Int] = []
    }

    @Test func `what is appended is done once, in order, at the end of the turn`() {
        let loop = EmbeddedEventLoop()
        let log = Log()
        let queue = EndOfTickQueue<Int>(on: loop) { log.done.append($0) }
        queue.append(1)
        queue.append(2)
        #expect(log.done.isEmpty)
        loop.run()
        #expect(log.done == [1, 2])
        loop.run()
        queue.append(3)
        loop.run()
        #expect(log.done == [1, 2, 3])
    }

    @Test func `what is appended meanwhile is done behind the others`() {
        let loop = EmbeddedEventLoop()
        let log = Log()
        var later: EndOfTickQueue<Int>?
        let queue = EndOfTickQueue<Int>(on: loop) { number in
            log.done.append(number)
            if number < 3 { later?.append(number + 2) }
        }
        later = queue
        queue.append(1)
        queue.append(2)
        loop.run()
        #expect(log.done == [1, 2, 3, 4])
    }
}
