import Glibc
import NIOCore

/// How often an event loop found nothing to do and waited for events. Used on the thread of that loop.
struct EventLoopIdleCounter {
    enum Sample {
        /// Too short a time to say more of the load than of one turn.
        case tooEarly
        /// The time since the last sample says little of now. The next one is of the time from here on.
        case tooLate
        case rests(Int)
    }

    /// What a sample is of, at least.
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

    /// An event loop's thread gives up its processor by itself only where it waits for events: its voluntary context
    /// switches (getrusage(2)). Its CPU time would not do, since it does not tell resting from being made to wait for a
    /// processor.
    private static func restsOfThread() -> Int {
        // `RUSAGE_THREAD`, which glibc declares for C with `_GNU_SOURCE` only.
        let callingThread = __rusage_who_t(1)
        var usage = rusage()
        getrusage(callingThread, &usage)
        return usage.ru_nvcsw
    }
}
