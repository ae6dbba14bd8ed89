import NIOEmbedded
import Testing

@testable import GatewayCore

@Suite struct EndOfTickQueueTests {
    private final class Log {
        var done: [Int] = []
    }

    private struct Entry: EndOfTickQueue.Work {
        var number: Int
        var log: Log
        var then: () -> Void = {}

        func perform() {
            log.done.append(number)
            then()
        }
    }

    @Test func `what is appended is done once, in order, at the end of the turn`() {
        let loop = EmbeddedEventLoop()
        let log = Log()
        let queue = EndOfTickQueue(on: loop)
        queue.append(Entry(number: 1, log: log))
        queue.append(Entry(number: 2, log: log))
        #expect(log.done.isEmpty)
        loop.run()
        #expect(log.done == [1, 2])
        loop.run()
        queue.append(Entry(number: 3, log: log))
        loop.run()
        #expect(log.done == [1, 2, 3])
    }

    @Test func `what is appended meanwhile is done behind the others`() {
        let loop = EmbeddedEventLoop()
        let log = Log()
        let queue = EndOfTickQueue(on: loop)
        queue.append(Entry(number: 1, log: log) { queue.append(Entry(number: 3, log: log)) })
        queue.append(Entry(number: 2, log: log) { queue.append(Entry(number: 4, log: log)) })
        loop.run()
        #expect(log.done == [1, 2, 3, 4])
    }
}
