/// What one replica says of a skill that Amazon throttles in a region.
package struct QuotaReport: Equatable, Sendable {
    package struct Caller: Equatable, Sendable {
        /// Its `Caller.recordID`.
        package var id: String
        package var weight: Int
        /// Messages a second that it wants sent.
        package var wanted: Double
        /// Of its messages of the last second.
        package var letThrough: Int
        package var throttled: Int
        /// It has drawn its part of the 429s, so that it can be held to its share.
        package var isThrottled: Bool
    }

    /// What the replica takes for the quota, of all replicas together; nil: it does not know.
    package var estimate: Double?
    /// The share of 429s that come however little is sent, and for how many milliseconds yet the replica believes that.
    package var noise: Double
    package var noiseLeft: Int
    /// Of all its messages of the last second.
    package var letThrough: Int
    package var throttled: Int
    package var callers: [Caller]

    package init(
        estimate: Double? = nil, noise: Double = 0, noiseLeft: Int = 0, letThrough: Int = 0, throttled: Int = 0,
        callers: [Caller] = []
    ) {
        self.estimate = estimate
        (self.noise, self.noiseLeft) = (noise, noiseLeft)
        self.letThrough = letThrough
        self.throttled = throttled
        self.callers = callers
    }
}

/// Where replicas tell each other of skills that Amazon throttles.
package protocol QuotaBoard: Sendable {
    /// Puts up the replica's report in place of its last, and reads those of the others. Calls `then` once, on any thread; with nil if the
    /// store cannot be asked, or has said nothing in time.
    ///
    /// - Parameter skill: its `Skill.recordID`.
    func exchange(
        _ report: QuotaReport, of skill: String, in region: Region, _ then: @escaping @Sendable ([QuotaReport]?) -> Void
    )
}

extension QuotaReport {
    /// Those of a skill that want the most. The others are not held to a share by other replicas.
    static let maximumCallers = 200

    /// `ESTIMATE NOISE NOISE-LEFT LET-THROUGH THROTTLED ID WEIGHT WANTED LET-THROUGH THROTTLED IS-THROTTLED ID …`, an estimate of 0 for none; estimate,
    /// noise and wishes in thousandths.
    package var text: String {
        var words = [
            Self.thousandths(estimate ?? 0), Self.thousandths(noise), String(noiseLeft), String(letThrough),
            String(throttled),
        ]
        for caller in callers {
            words += [
                caller.id, String(caller.weight), Self.thousandths(caller.wanted), String(caller.letThrough),
                String(caller.throttled), caller.isThrottled ? "1" : "0",
            ]
        }
        return words.joined(separator: " ")
    }

    /// Nil for what no replica has written.
    package init?(_ text: String) {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count % 6 == 5, words.count / 6 <= Self.maximumCallers else { return nil }
        let totals = words[..<5].compactMap(Self.number)
        guard totals.count == 5 else { return nil }
        estimate = totals[0] > 0 ? Double(totals[0]) / 1000 : nil
        (noise, noiseLeft) = (Double(totals[1]) / 1000, totals[2])
        (letThrough, throttled, callers) = (totals[3], totals[4], [])
        for start in stride(from: 5, to: words.count, by: 6) {
            let numbers = words[start + 1..<start + 6].compactMap(Self.number)
            guard numbers.count == 5, numbers[0] > 0 else { return nil }
            callers.append(
                Caller(
                    id: String(words[start]), weight: numbers[0], wanted: Double(numbers[1]) / 1000,
                    letThrough: numbers[2], throttled: numbers[3], isThrottled: numbers[4] > 0))
        }
    }

    private static func thousandths(_ value: Double) -> String {
        String(value.isFinite ? Int(min((max(0, value) * 1000).rounded(), 1e12)) : 0)
    }

    /// Not so large that sums of it overflow.
    private static func number(_ text: Substring) -> Int? {
        Int(text).flatMap { (0...1_000_000_000_000).contains($0) ? $0 : nil }
    }
}
