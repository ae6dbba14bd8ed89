/// How long to wait before the next connection is tried: longer with each failure, bounded, and never in step with
/// other gateways. Short enough for service to be back soon after the server is.
struct ReconnectPause {
    private static let first = Duration.milliseconds(50)
    private static let longest = Duration.milliseconds(500)

    private var failures = 0

    mutating func connected() { failures = 0 }

    /// - Parameter random: from 0 up to 1.
    mutating func next(random: Double) -> Duration {
        let pause = min(Self.longest, Self.first * (1 << min(failures, 10)))
        failures += 1
        return pause * (0.5 + random / 2)
    }
}
