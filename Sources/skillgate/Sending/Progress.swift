import GatewayCore
import Glibc

/// What a person at a terminal sees while many messages are sent: one line that is written over, on standard error. Elsewhere nothing.
struct Progress {
    private static let width = 30

    private let total: Int
    /// What is counted, as a word behind the numbers.
    private let unit: String
    private let isShown = isatty(STDERR_FILENO) == 1
    private let started: ContinuousClock.Instant
    private var lastShown: ContinuousClock.Instant?
    private var done: Int
    private let doneBefore: Int
    /// Of those done by this run, the ones that were not accepted.
    private var failed = 0

    /// - Parameter done: by a run before this one.
    init(total: Int, done: Int, unit: String = "", now: ContinuousClock.Instant) {
        self.total = total
        self.unit = unit.isEmpty ? "" : " " + unit
        self.done = done
        doneBefore = done
        started = now
    }

    /// One more message has its last answer.
    mutating func advanced(isAccepted: Bool, now: ContinuousClock.Instant) {
        done += 1
        if !isAccepted { failed += 1 }
        guard isShown, lastShown.map({ now - $0 > .milliseconds(100) }) ?? true else { return }
        lastShown = now
        StandardError.write("\r" + line(now: now))
    }

    func finish(now: ContinuousClock.Instant) {
        if isShown { StandardError.write("\r" + line(now: now) + "\n") }
    }

    /// `[########----------] 5234/10000  812/s  3 failed  6 s left`
    func line(now: ContinuousClock.Instant) -> String {
        let filled = total == 0 ? Self.width : done * Self.width / total
        let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: Self.width - filled)
        let seconds = (now - started).inSeconds
        let rate = seconds > 0 ? Int(Double(done - doneBefore) / seconds) : 0
        let left = rate > 0 ? "  \(Self.time((total - done) / rate)) left" : ""
        return "[\(bar)] \(done)/\(total)\(unit)  \(rate)/s\(failed > 0 ? "  \(failed) failed" : "")\(left)   "
    }

    private static func time(_ seconds: Int) -> String {
        switch seconds {
        case ..<100: "\(seconds) s"
        case ..<6000: "\(seconds / 60) min"
        default: "\(seconds / 3600) h"
        }
    }
}
