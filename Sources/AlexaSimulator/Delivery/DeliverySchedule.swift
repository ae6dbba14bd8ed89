/// When Amazon tries to deliver one message to its skill: at once, again after 30 s, the pause doubling each time, until
/// the message expires.
///
/// Pure: all times count from when the message was accepted.
struct DeliverySchedule: Equatable, Sendable {
    private static let firstPause = Duration.seconds(30)

    private let expiry: Duration
    /// When the next attempt is due; nil when none is any more.
    private(set) var next: Duration? = .zero
    private var pause = Self.firstPause

    /// - Parameter expiry: `expiresAfterSeconds` of the message.
    init(expiry: Duration) {
        self.expiry = expiry
    }

    /// The attempt that was due has failed.
    mutating func attemptFailed() {
        guard let due = next else { return }
        next = due + pause <= expiry ? due + pause : nil
        pause += pause
    }
}
