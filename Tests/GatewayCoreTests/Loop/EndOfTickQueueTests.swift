import NIOEmbedded
import Testing

@testable import GatewayCore

@Suite struct EndOfTickQueueTests {
    private final class Log {
        var done: [Int] = []
    }

    private final class Entry: EndOfTickQueue.Work {
        private let number: Int
        private let log: Log
        private let then: () -> Void

        init(number: Int, log: Log, then: @escaping () -> Void = {}) {
            (self.number, self.log, self.then) = (number, log, then)
        }

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
