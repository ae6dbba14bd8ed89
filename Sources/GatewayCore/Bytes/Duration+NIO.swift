package import NIOCore

extension NIODeadline {
    package static func + (deadline: NIODeadline, duration: Duration) -> NIODeadline {
        deadline + TimeAmount(duration)
    }
}

extension TimeAmount {
    /// Whole and fractional seconds, for metrics.
    var inSeconds: Double { Double(nanoseconds) * 1e-9 }
}

extension Duration {
    /// Whole and fractional seconds, for metrics and for people.
    package var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) * 1e-18
    }

    /// The time from `start` to `end`; zero if `end` is not later.
    package init(from start: NIODeadline, to end: NIODeadline) {
        self = .nanoseconds(max(0, (end - start).nanoseconds))
    }

    /// Rounded up to whole seconds and at least 1: what a `Retry-After` field says.
    var asRetryAfterSeconds: Int {
        let (seconds, attoseconds) = components
        return max(1, Int(clamping: seconds) + (attoseconds > 0 ? 1 : 0))
    }
}
