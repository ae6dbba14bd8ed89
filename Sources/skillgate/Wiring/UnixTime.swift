import GatewayCore
import Glibc

/// The wall clock, for what people and Prometheus read. Nothing is decided by it.
enum UnixTime {
    /// In seconds.
    static func now() -> Double {
        let now = timestamp()
        return Double(now.seconds) + Double(now.nanoseconds) * 1e-9
    }

    static func milliseconds() -> Int {
        let now = timestamp()
        return now.seconds * 1000 + now.nanoseconds / 1_000_000
    }

    static func timestamp() -> UnixTimestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UnixTimestamp(seconds: time.tv_sec, nanoseconds: time.tv_nsec)
    }
}
