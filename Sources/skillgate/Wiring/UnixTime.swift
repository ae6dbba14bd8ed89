import Glibc

/// The wall clock, for what people and Prometheus read. Nothing is decided by it.
enum UnixTime {
    /// In seconds.
    static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
