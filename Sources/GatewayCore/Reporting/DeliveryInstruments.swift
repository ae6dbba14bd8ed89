/// What one event loop counts of messages whose skills report them, by the skill's label.
package struct DeliveryInstruments: Sendable {
    /// What a skill's report was.
    package enum Report: String, CaseIterable, Sendable {
        /// The first, of a message that was known to be accepted.
        case first
        /// The first, and the only proof that Amazon has accepted the message.
        case proof
        case again
        /// Of a message of which nothing is known.
        case absent
        /// The store could not be reached.
        case unavailable

        init(_ outcome: ReceiptOutcome?) {
            switch outcome {
            case .first(let provesAcceptance, _): self = provesAcceptance ? .proof : .first
            case .again: self = .again
            case .absent: self = .absent
            case nil: self = .unavailable
            }
        }
    }

    package struct Skill: Sendable {
        package fileprivate(set) var reports: [Report: Int] = [:]
        /// From Amazon's acceptance to the first report.
        package fileprivate(set) var seconds = Histogram(bounds: Histogram.deliverySeconds)
        /// Messages that may be delivered yet, and have not been looked at.
        package fileprivate(set) var pending = 0
        /// Messages that can be delivered no longer, and of them those that nobody has reported.
        package fileprivate(set) var due = 0
        package fileprivate(set) var unreceived = 0

        package var received: Int { reports[.first, default: 0] + reports[.proof, default: 0] }

        fileprivate mutating func add(_ other: Self) {
            reports.merge(other.reports, uniquingKeysWith: +)
            seconds.add(other.seconds)
            pending += other.pending
            due += other.due
            unreceived += other.unreceived
        }
    }

    private var counts: [Int: Skill] = [:]

    /// Labels of those of which something has been counted.
    package var skills: Set<Int> { Set(counts.keys) }

    package func skill(_ label: Int) -> Skill { counts[label] ?? Skill() }

    mutating func reported(_ report: Report, skill: Int) {
        counts[skill, default: Skill()].reports[report, default: 0] += 1
    }

    /// - Parameter report: the request that reports it.
    mutating func delivered(after age: Duration, skill: Int, report: ForwardingInstruments.Labels) {
        let seconds = age.inSeconds
        counts[skill, default: Skill()].seconds.observe(seconds, exemplar: report.exemplar(seconds))
    }

    /// - Parameter pending: by skill.
    mutating func pending(_ pending: [Int: Int]) {
        for (skill, count) in pending { counts[skill, default: Skill()].pending = count }
    }

    /// So many messages can be delivered no longer.
    mutating func ended(_ count: Int, areReceived: Bool, skill: Int) {
        counts[skill, default: Skill()].due += count
        if !areReceived { counts[skill, default: Skill()].unreceived += count }
    }

    /// Adds what another event loop counted.
    mutating func add(_ other: Self) {
        for (label, skill) in other.counts { counts[label, default: Skill()].add(skill) }
    }
}
