package import NIOCore

/// What is put off to the end of the event loop's turn and then done in one go: writes to sockets.
///
/// A write wakes whoever waits at the other end, and waking another process is the most expensive part. Written one after
/// the other behind all reading and deciding of a turn, messages find their peer awake from the first on. A loop with
/// one message a turn puts nothing off for longer than it takes to call this.
///
/// Not generic: no code would be made for the types of other modules, and metadata would be looked up with every message. Of objects alone,
/// which cost no more than a reference to keep.
package final class EndOfTickQueue {
    package protocol Work: AnyObject {
        func perform()
    }

    private let eventLoop: any EventLoop
    private var waiting: [(any Work)?] = []
    /// Emptied and used again, so that turns allocate nothing.
    private var spare: [(any Work)?] = []
    private var isPerforming = false

    package init(on eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    /// - Parameter work: performed once, in the order of the calls, in the turn in which it was appended. What it appends itself is
    ///   performed behind the others.
    package func append(_ work: any Work) {
        waiting.append(work)
        if waiting.count == 1 && !isPerforming { eventLoop.assumeIsolated().execute { self.tickEnded() } }
    }

    private func tickEnded() {
        isPerforming = true
        defer { isPerforming = false }
        while !waiting.isEmpty {
            swap(&waiting, &spare)
            // Each is taken out: a copy would be counted, up and down again.
            for index in spare.indices { spare[index].take()?.perform() }
            spare.removeAll(keepingCapacity: true)
        }
    }
}
