package import NIOCore

/// What is put off to the end of the event loop's turn and then done in one go: writes to sockets.
///
/// A write wakes whoever waits at the other end, and waking another process is the most expensive part. Written one after
/// the other behind all reading and deciding of a turn, messages find their peer awake from the first on. A loop with
/// one message a turn puts nothing off for longer than it takes to call this.
package final class EndOfTickQueue<Element> {
    private let eventLoop: any EventLoop
    private let perform: (Element) -> Void
    private var waiting: [Element] = []
    /// Emptied and used again, so that turns allocate nothing.
    private var spare: [Element] = []

    /// - Parameter perform: called once for each element, in their order, in the turn in which it was appended. What it
    ///   appends itself is performed behind the others.
    package init(on eventLoop: any EventLoop, _ perform: @escaping (Element) -> Void) {
        self.eventLoop = eventLoop
        self.perform = perform
    }

    package func append(_ element: Element) {
        waiting.append(element)
        if waiting.count == 1 { eventLoop.assumeIsolated().execute { self.tickEnded() } }
    }

    private func tickEnded() {
        swap(&waiting, &spare)
        for element in spare { perform(element) }
        spare.removeAll(keepingCapacity: true)
    }
}
