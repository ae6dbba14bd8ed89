import Glibc
import NIOCore

/// Counts how often an event loop had nothing to do and waited for events (a *rest*). Used on the thread of that loop.
struct EventLoopIdleCounter {
    enum Sample {
        /// The window is too short: it would reflect single ticks, not the load.
        case tooEarly
        /// The window is too long to describe the current load. The next window starts here.
        case tooLate
        case rests(Int)
    }

    /// The shortest window of a sample.
    static let window = TimeAmount.milliseconds(25)
    private static let longestWindow = TimeAmount.milliseconds(250)

    private var sampledAt: NIODeadline
    private var rests = Self.restsOfThread()

    init(now: NIODeadline) {
        sampledAt = now
    }

    mutating func sample(now: NIODeadline) -> Sample {
        let window = now - sampledAt
        guard window >= Self.window else { return .tooEarly }
        let rests = Self.restsOfThread()
        defer {
            sampledAt = now
            self.rests = rests
        }
        return window <= Self.longestWindow ? .rests(rests - self.rests) : .tooLate
    }

    /// The thread's voluntary context switches (getrusage(2)): an event loop's thread yields its CPU voluntarily only when
    /// it waits for events. CPU time cannot be used, since it does not distinguish idling from being preempted.
    private static func restsOfThread() -> Int {
        // `RUSAGE_THREAD`, which glibc declares for C with `_GNU_SOURCE` only.
        let callingThread = __rusage_who_t(1)
        var usage = rusage()
        getrusage(callingThread, &usage)
        return usage.ru_nvcsw
    }
}
