import Dispatch
import NIOCore

/// An event loop whose clock is the timeline's. Unlike NIO's own for tests, its clock goes on while it stands still: a
/// process that is paused wakes up with all its timers due and the time of now, as a real one does.
///
/// Unchecked, since a simulation runs on one thread from its beginning to its end.
final class VirtualEventLoop: EventLoop, @unchecked Sendable {
    private struct Timer {
        var deadline: NIODeadline
        var number: Int
        var run: () -> Void
        var cancel: () -> Void
    }

    private let timeline: Timeline
    private(set) var now: NIODeadline
    private var timers: [Timer] = []
    private var made = 0

    init(_ timeline: Timeline) {
        self.timeline = timeline
        now = timeline.now
    }

    var inEventLoop: Bool { true }

    /// Sets the clock and runs what is due, in the order of its deadlines.
    func advance(to time: NIODeadline) {
        now = max(now, time)
        while let next = timers.indices.min(by: { isBefore($0, $1) }), timers[next].deadline <= now {
            timers.remove(at: next).run()
        }
    }

    private func isBefore(_ one: Int, _ other: Int) -> Bool {
        (timers[one].deadline, timers[one].number) < (timers[other].deadline, timers[other].number)
    }

    /// Cancels what has not run.
    func drop() {
        let left = timers
        timers.removeAll()
        for timer in left { timer.cancel() }
    }

    func execute(_ task: @escaping @Sendable () -> Void) { add(now, task, cancel: {}) }

    private func add(_ deadline: NIODeadline, _ run: @escaping () -> Void, cancel: @escaping () -> Void) {
        made += 1
        timers.append(Timer(deadline: deadline, number: made, run: run, cancel: cancel))
        // So that the timeline stops here.
        timeline.at(deadline) {}
    }

    func scheduleTask<T>(deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        let promise = makePromise(of: T.self)
        add(
            deadline,
            {
                do {
                    promise.assumeIsolated().succeed(try task())
                } catch {
                    promise.fail(error)
                }
            },
            cancel: { promise.fail(EventLoopError.cancelled) })
        let number = made
        return Scheduled(
            promise: promise,
            cancellationTask: {
                guard let place = self.timers.firstIndex(where: { $0.number == number }) else { return }
                self.timers.remove(at: place)
            })
    }

    func scheduleTask<T>(in delay: TimeAmount, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        scheduleTask(deadline: now + delay, task)
    }

    func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        callback(nil)
    }
}
