import NIOCore

/// Messages that Amazon has accepted and that their skills are to report, until they can be delivered no longer: then their
/// records say whether they were received. Pure: times are passed in.
///
/// Bounded. When there are too many, half of them are let go by chance and the rest stand for two each, so that the shares stay true.
struct DeliveryWatch {
    struct Message: Equatable {
        var scope: IdempotencyScope
        /// Which of the messages it is that come under the scope.
        var binding: Receipt.Binding
        /// The skill's label.
        var skill: Int
        /// So many messages does it stand for.
        var weight: Int
        var reference: MessageReference?
    }

    /// Messages are looked at together with those that come so soon after them.
    static let step = TimeAmount.seconds(10)
    /// A report may take a while to get here.
    static let grace = TimeAmount.seconds(60)
    static let limit = 50_000

    private let limit: Int
    /// By the end of the step in which they are due.
    private var steps: [NIODeadline: [Message]] = [:]
    private var count = 0
    /// One in so many messages is taken.
    private(set) var sampling = 1

    init(limit: Int = Self.limit) {
        self.limit = max(2, limit)
    }

    var isEmpty: Bool { count == 0 }

    /// By skill's label, how many messages those here stand for.
    private(set) var pending: [Int: Int] = [:]

    /// - Parameter expiry: from `now` on, for as long as Amazon tries to deliver it.
    mutating func accepted(
        _ scope: IdempotencyScope, _ binding: Receipt.Binding, skill: Int, expiry: TimeAmount,
        _ reference: @autoclosure () -> MessageReference? = nil, now: NIODeadline
    ) {
        guard sampling == 1 || Int.random(in: 0..<sampling) == 0 else { return }
        if count >= limit { halve() }
        let nanoseconds = Self.step.nanoseconds
        let steps = (now + expiry + Self.grace).uptimeNanoseconds / UInt64(nanoseconds) + 1
        let due = NIODeadline.uptimeNanoseconds(steps * UInt64(nanoseconds))
        self.steps[due, default: []].append(
            Message(scope: scope, binding: binding, skill: skill, weight: sampling, reference: reference()))
        count += 1
        pending[skill, default: 0] += sampling
    }

    /// Takes those out that are due.
    mutating func takeDue(now: NIODeadline) -> [Message] {
        var taken: [Message] = []
        for due in steps.keys where due <= now { taken += steps.removeValue(forKey: due) ?? [] }
        count -= taken.count
        for message in taken { pending[message.skill, default: 0] -= message.weight }
        if count < limit / 4 && sampling > 1 { sampling /= 2 }
        return taken
    }

    /// Forgets the messages of skills that report none any more.
    mutating func keep(only skills: Set<Int>) {
        for due in steps.keys { steps[due]?.removeAll { !skills.contains($0.skill) } }
        recount()
    }

    private mutating func recount() {
        count = steps.values.reduce(0) { $0 + $1.count }
        pending = steps.values.joined().reduce(into: [:]) { $0[$1.skill, default: 0] += $1.weight }
    }

    private mutating func halve() {
        sampling *= 2
        for due in steps.keys {
            steps[due] = steps[due]?.compactMap { message in
                guard Bool.random() else { return nil }
                var message = message
                message.weight *= 2
                return message
            }
        }
        recount()
    }
}
